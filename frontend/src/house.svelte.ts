/** The line to the house, shared by all pages: one socket, one session, one voice. */
import { Connection, type News, type Reply, type Request, type Status } from './connection';
import { openSocket } from './socket';
import { t } from './strings';
import type { Limits } from './wire/Limits';
import type { ToClient } from './wire/ToClient';

const SESSION = 'parlour.session';

/** What somebody in the house is doing: a game for two, a table, or nothing. */
export interface Visit {
  /** The room that it is about, if any: the line is to lead to the server that has it. */
  place(): string | null;
  /** What to say to be back where one was, after every welcome. */
  comeback(): Request | null;
  /** What came of that. */
  resumed(reply: Reply): void;
  hear(message: ToClient): void;
  /** A binary frame came. */
  sound?(bytes: ArrayBuffer): void;
}

const NOWHERE: Visit = {
  place: () => null,
  comeback: () => null,
  resumed: () => {},
  hear: () => {},
};

class House {
  status = $state.raw<Status>({ at: 'closed' });
  limits = $state.raw<Limits | null>(null);
  /** A room that this session sits in, as the last welcome named it. */
  openRoom = $state.raw<string | null>(null);
  /** What went wrong with the last thing asked for, in words. */
  problem = $state.raw<string | null>(null);
  /** Whole lines for the screen reader, newest last. */
  said = $state.raw<{ id: number; text: string }[]>([]);
  /** Server's clock minus ours, milliseconds. */
  skew = $state(0);

  #visit: Visit = NOWHERE;
  #nextSaid = 0;
  #connection: Connection;

  constructor() {
    this.#connection = new Connection({
      open: (place) => {
        const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
        const path = place === null ? '/ws' : `/ws/${encodeURIComponent(place)}`;
        return openSocket(`${scheme}//${location.host}${path}`);
      },
      place: () => this.#visit.place(),
      clock: {
        after(ms, then) {
          const timer = setTimeout(then, ms);
          return () => clearTimeout(timer);
        },
      },
      random: Math.random,
      session: {
        get: () => localStorage.getItem(SESSION),
        set: (token) => localStorage.setItem(SESSION, token),
      },
    });
    this.#connection.onstatus = (status) => (this.status = status);
    this.#connection.onmessage = (message) => this.#hear(message);
    this.#connection.onsound = (bytes) => this.#visit.sound?.(bytes);
    this.#connection.comeback = () => this.#visit.comeback();
    this.#connection.onresumed = (reply) => this.#visit.resumed(reply);
    addEventListener('online', () => this.#connection.retryNow());
  }

  /** What the house knows this browser by, if they have met. A secret. */
  session(): string | null {
    return localStorage.getItem(SESSION);
  }

  get online(): boolean {
    return this.status.at === 'open';
  }

  /** From now on `visit` hears the server. Connects if need be; true if the line is open. */
  receive(visit: Visit): boolean {
    this.#visit = visit;
    this.problem = null;
    this.#connection.goToPlace();
    const open = this.#connection.status.at === 'open';
    this.#connection.start();
    return open;
  }

  /** On a page that needs no line. */
  hangUp(): void {
    this.#visit = NOWHERE;
    this.#connection.stop();
  }

  retryNow(): void {
    this.#connection.retryNow();
  }

  /** Takes the seat back from another window. */
  takeBack(): void {
    this.#connection.start();
  }

  request(request: Request): Promise<Reply> {
    return this.#connection.request(request);
  }

  /** Says something that has no answer. */
  tell(message: News): void {
    this.#connection.tell(message);
  }

  sound(bytes: Uint8Array<ArrayBuffer>): void {
    this.#connection.sound(bytes);
  }

  /** Whether it was accepted; says what went wrong otherwise. */
  accepted(reply: Reply): boolean {
    if (reply.is === 'refused') this.problem = t.trouble.refusals[reply.code];
    if (reply.is === 'lost') this.problem = t.trouble.lost;
    return reply.is === 'accepted';
  }

  /** Says a whole line to whoever listens to the page. */
  say(text: string): void {
    this.#nextSaid += 1;
    this.said = [...this.said, { id: this.#nextSaid, text }].slice(-6);
  }

  #hear(message: ToClient): void {
    if (message.type === 'welcome') {
      this.limits = message.limits;
      this.openRoom = message.room;
    }
    if (message.type === 'event' || message.type === 'table_event') {
      this.skew = message.at - Date.now();
    }
    this.#visit.hear(message);
  }
}

export const house = new House();
