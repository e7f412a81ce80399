/** Three pages, three addresses. */
export type Route =
  { page: 'lobby' } | { page: 'play'; room: string } | { page: 'replay'; room: string };

export function parse(path: string): Route {
  const found = /^\/(play|replay)\/([^/]+)\/?$/.exec(path);
  const [, page, room] = found ?? [];
  if (!page || !room) return { page: 'lobby' };
  return { page: page === 'play' ? 'play' : 'replay', room: decodeURIComponent(room) };
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
