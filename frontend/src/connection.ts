/**
 * The line to the server: handshake, request ids, liveness and coming back.
 *
 * Knows no DOM and no game. The socket, the clock and the dice are handed in, so that a
 * test can be the network.
 */
import type { Bye } from './wire/Bye';
import type { FromClient } from './wire/FromClient';
import type { RefusalCode } from './wire/RefusalCode';
import type { ToClient } from './wire/ToClient';

export const PROTOCOL = 2;

/** What of the browser's WebSocket is used. */
export interface Socket {
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
}

export interface Clock {
  /** Calls `then` once after `ms` milliseconds; the answer undoes it. */
  after(ms: number, then: () => void): () => void;
}

export interface Wiring {
  /** Opens a socket to `place`: a room, whose people meet in one server, or null. */
  open(place: string | null): Socket;
  /** Where the next socket has to go. */
  place(): string | null;
  clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
  /** The session's token, kept between visits. */
  session: { get(): string | null; set(token: string): void };
}

export type Status =
  | { at: 'closed' }
  | { at: 'connecting' }
  | { at: 'open' }
  /** The line is down; the next attempt is on its way. `full`: the house was full. */
  | { at: 'waiting'; attempt: number; full: boolean }
  /** The server said not to come back by itself. */
  | { at: 'dismissed'; code: Bye; message: string };

/** What came of a request. `lost`: the line went dead before the answer. */
export type Reply =
  { is: 'accepted' } | { is: 'refused'; code: RefusalCode; message: string } | { is: 'lost' };

type WithoutId<T> = T extends { id: number } ? Omit<T, 'id'> : never;
/** A message that the server accepts or refuses. */
export type Request = WithoutId<FromClient>;

/** A message that has no answer. */
export type News = Extract<FromClient, { type: 'heard' }>;

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 15_000;
const FULL_WAIT_MS = 5_000;
const PING_EVERY_MS = 20_000;
const PONG_WITHIN_MS = 10_000;

/** Close codes and what they mean, for a `bye` that was lost on the way. */
const FINAL_CODES: Record<number, Bye> = {
  4100: 'old_client',
  4101: 'hostile',
  4102: 'elsewhere',
};

export class Connection {
  /** Every message but the answers to requests, in order. */
  onmessage: (message: ToClient) => void = () => {};
  /** Every binary frame. */
  onsound: (bytes: ArrayBuffer) => void = () => {};
  onstatus: (status: Status) => void = () => {};
  /** Asked after every welcome: what to say to be back where one was. */
  comeback: () => Request | null = () => null;
  /** What came of that. */
  onresumed: (reply: Reply) => void = () => {};

  #wiring: Wiring;
  #status: Status = { at: 'closed' };
  #socket: Socket | null = null;
  #place: string | null = null;
  #welcomed = false;
  #attempt = 0;
  #full = false;
  #nextId = 1;
  #nonce = 0;
  #pending = new Map<number, (reply: Reply) => void>();
  #timer: () => void = () => {};

  constructor(wiring: Wiring) {
    this.#wiring = wiring;
  }

  get status(): Status {
    return this.#status;
  }

  /** Connects unless it is connected or about to be. */
  start(): void {
    if (this.#status.at === 'closed' || this.#status.at === 'dismissed') {
      this.#attempt = 0;
      this.#connect();
    }
  }

  /** Hangs up for good. */
  stop(): void {
    this.#drop();
    this.#become({ at: 'closed' });
  }

  /** Does not wait any longer for the next attempt: the network is back, or the user asks. */
  retryNow(): void {
    if (this.#status.at === 'waiting') this.#connect();
  }

  /**
   * Comes anew if the line leads past the room that it is for now: in front of several servers
   * only the way in decides which one answers. Whoever is in no room stays where they are.
   */
  goToPlace(): void {
    const at = this.#status.at;
    const place = this.#wiring.place();
    if (place !== null && place !== this.#place && (at === 'open' || at === 'connecting')) {
      this.#connect();
    }
  }

  /** Sends a request. Resolves once, always. */
  request(request: Request): Promise<Reply> {
    const socket = this.#socket;
    if (!socket || !this.#welcomed) return Promise.resolve({ is: 'lost' });
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#say(socket, { ...request, id });
    });
  }

  /** Says something that has no answer. Lost when the line is dead. */
  tell(message: News): void {
    if (this.#socket && this.#welcomed) this.#say(this.#socket, message);
  }

  /** Sends a binary frame. Lost when the line is dead. */
  sound(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#welcomed) this.#socket?.send(bytes);
  }

  #connect(): void {
    this.#drop();
    this.#become({ at: 'connecting' });
    this.#place = this.#wiring.place();
    const socket = this.#wiring.open(this.#place);
    this.#socket = socket;
    // A late word from a socket that was let go must not be heard.
    const current = (then: () => void) => {
      if (this.#socket === socket) then();
    };
    socket.onopen = () =>
      current(() =>
        this.#say(socket, {
          type: 'hello',
          protocol: PROTOCOL,
          session: this.#wiring.session.get(),
        }),
      );
    socket.onmessage = ({ data }) => current(() => this.#hear(socket, data));
    socket.onclose = ({ code }) => current(() => this.#lost(code));
    this.#expectWord();
  }

  #hear(socket: Socket, data: unknown): void {
    if (data instanceof ArrayBuffer) {
      if (this.#welcomed) this.#keepAlive(socket);
      this.onsound(data);
      return;
    }
    if (typeof data !== 'string') return;
    const message = JSON.parse(data) as ToClient;
    if (this.#welcomed) this.#keepAlive(socket);
    switch (message.type) {
      case 'welcome': {
        this.#welcomed = true;
        this.#attempt = 0;
        this.#full = false;
        this.#wiring.session.set(message.session);
        this.#keepAlive(socket);
        this.#become({ at: 'open' });
        this.onmessage(message);
        const comeback = this.comeback();
        if (comeback) void this.request(comeback).then((reply) => this.onresumed(reply));
        return;
      }
      case 'accepted':
        this.#settle(message.id, { is: 'accepted' });
        return;
      case 'refused':
        this.#settle(message.id, {
          is: 'refused',
          code: message.code,
          message: message.message,
        });
        return;
      case 'pong':
        return;
      case 'bye':
        this.#drop();
        if (message.come_back) {
          this.#full = message.code === 'full';
          this.#wait();
        } else {
          this.#become({ at: 'dismissed', code: message.code, message: message.message });
        }
        return;
      default:
        this.onmessage(message);
    }
  }

  #lost(code: number): void {
    this.#drop();
    const bye = FINAL_CODES[code];
    if (bye) this.#become({ at: 'dismissed', code: bye, message: '' });
    else this.#wait();
  }

  /** Half of the wait is certain and half is drawn, so that a crowd does not come back as one. */
  #wait(): void {
    const first = this.#full ? FULL_WAIT_MS : FIRST_WAIT_MS;
    const longest = Math.max(first, LONGEST_WAIT_MS);
    const wait = Math.min(longest, first * 2 ** Math.min(this.#attempt, 16));
    this.#attempt += 1;
    this.#timer = this.#wiring.clock.after(wait * (0.5 + this.#wiring.random() / 2), () =>
      this.#connect(),
    );
    this.#become({ at: 'waiting', attempt: this.#attempt, full: this.#full });
  }

  /** After a silence asks for a sign of life, and hangs up without one. */
  #keepAlive(socket: Socket): void {
    this.#timer();
    this.#timer = this.#wiring.clock.after(PING_EVERY_MS, () => {
      this.#nonce += 1;
      this.#say(socket, { type: 'ping', nonce: this.#nonce });
      this.#expectWord();
    });
  }

  #expectWord(): void {
    this.#timer = this.#wiring.clock.after(PONG_WITHIN_MS, () => {
      this.#drop();
      this.#wait();
    });
  }

  #say(socket: Socket, message: FromClient): void {
    socket.send(JSON.stringify(message));
  }

  #settle(id: number, reply: Reply): void {
    this.#pending.get(id)?.(reply);
    this.#pending.delete(id);
  }

  #drop(): void {
    this.#timer();
    this.#timer = () => {};
    const socket = this.#socket;
    this.#socket = null;
    this.#welcomed = false;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const resolve of pending) resolve({ is: 'lost' });
  }

  #become(status: Status): void {
    this.#status = status;
    this.onstatus(status);
  }
}
