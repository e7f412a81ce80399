import { tableCode } from './code';

/** Every page has an address. */
export type Route =
  | { page: 'lobby' }
  | { page: 'play'; room: string }
  | { page: 'replay'; room: string }
  | { page: 'tables' }
  | { page: 'boards' }
  | { page: 'dead-profiles'; view: 'show' | 'record' }
  | { page: 'spirit-box' }
  | { page: 'new-table' }
  | { page: 'table'; room: string };

export function parse(path: string): Route {
  if (/^\/tables\/?$/.test(path)) return { page: 'tables' };
  if (/^\/boards\/?$/.test(path)) return { page: 'boards' };
  if (/^\/dead-profiles\/?$/.test(path)) return { page: 'dead-profiles', view: 'show' };
  if (/^\/dead-profiles\/record\/?$/.test(path)) {
    return { page: 'dead-profiles', view: 'record' };
  }
  if (/^\/spirit-box\/?$/.test(path)) return { page: 'spirit-box' };
  if (/^\/tables\/new\/?$/.test(path)) return { page: 'new-table' };
  const [, page, room] = /^\/(play|replay|t)\/([^/]+)\/?$/.exec(path) ?? [];
  if (!page || !room) return { page: 'lobby' };
  const said = decodeURIComponent(room);
  if (page === 'play') return { page, room: said };
  const name = tableCode(said) ?? said;
  if (page === 't') return { page: 'table', room: name };
  return { page: 'replay', room: name };
}

class Router {
  route = $state.raw<Route>(parse(location.pathname));

  constructor() {
    addEventListener('popstate', () => (this.route = parse(location.pathname)));
    // Links stay links; those that lead to one of our pages do not load the page anew.
    addEventListener('click', (event) => {
      const link = (event.target as Element | null)?.closest?.('a');
      const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
      if (!link || !plain || event.button !== 0 || event.defaultPrevented) return;
      if (link.origin !== location.origin || link.target || link.hash || link.download) return;
      event.preventDefault();
      this.go(link.pathname);
    });
  }

  go(path: string): void {
    if (path !== location.pathname) history.pushState(null, '', path);
    this.route = parse(path);
    scrollTo(0, 0);
  }
}

export const router = new Router();
