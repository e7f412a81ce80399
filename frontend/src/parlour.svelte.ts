/** The one place where the line, the room and the pages meet. */
import { Connection, type Reply, type Status } from './connection';
import { beliefIn, endOf, hasAnswered, reduce, rulesOf, type Room } from './room';
import { keepChoices, note, type Choices } from './score';
import { openSocket } from './socket';
import { t } from './strings';
import { headline } from './words';
import type { Limits } from './wire/Limits';
import type { RefusalCode } from './wire/RefusalCode';
import type { ToClient } from './wire/ToClient';

const SESSION = 'parlour.session';

/** Refusals that will not change by asking again. */
const FOR_GOOD: ReadonlySet<RefusalCode> = new Set(['malformed', 'no_such_room', 'not_yours']);
const RESUME_AGAIN_MS = 2000;

/** An answer that was sent and has not come back as an event yet. */
interface Sending {
  room: string;
  round: number;
  text: string;
}

class Parlour {
  status = $state.raw<Status>({ at: 'closed' });
  /** Whether the server was ever reached since the page was loaded. */
  welcomed = $state(false);
  limits = $state.raw<Limits | null>(null);
  /** A game of this session that is still open, seen from the lobby. */
  openRoom = $state.raw<string | null>(null);
  room = $state.raw<Room | null>(null);
  /** The room that the page is about cannot be had. */
  refused = $state.raw<RefusalCode | null>(null);
  sending = $state.raw<Sending | null>(null);
  /** What went wrong with the last thing asked for, in words. */
  problem = $state.raw<string | null>(null);
  opening = $state(false);
  /** Whole lines for the screen reader, newest last. */
  said = $state.raw<{ id: number; text: string }[]>([]);
  /** Server's clock minus ours, milliseconds. */
  skew = $state(0);

  #wanted: string | null = null;
  #resuming = false;
  #nextSaid = 0;
  #connection: Connection;

  constructor() {
    this.#connection = new Connection({
      open: () => {
        const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
        return openSocket(`${scheme}//${location.host}/ws`);
      },
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
    this.#connection.onresumed = (reply) => {
      if (reply.is !== 'refused') return;
      if (FOR_GOOD.has(reply.code)) this.refused = reply.code;
      else setTimeout(() => this.#resume(), RESUME_AGAIN_MS);
    };
    this.#connection.position = () => {
      if (!this.#wanted) return null;
      const held = this.room?.room === this.#wanted ? this.room : null;
      return { room: this.#wanted, epoch: held?.epoch ?? 0, offset: held?.events.length ?? 0 };
    };
    addEventListener('online', () => this.#connection.retryNow());
  }

  /** In the lobby: connected, in no room. */
  visitLobby(): void {
    if (this.room && !endOf(this.room.events)) {
      this.openRoom = this.room.room;
      void this.#connection.request({ type: 'leave' });
    }
    this.#wanted = null;
    this.room = null;
    this.refused = null;
    this.problem = null;
    this.#connection.start();
  }

  /** At the table of `room`. */
  visitRoom(room: string): void {
    if (this.#wanted === room) return;
    this.#wanted = room;
    this.refused = null;
    this.problem = null;
    if (this.room?.room !== room) this.room = null;
    if (this.#connection.status.at === 'open') this.#resume();
    else this.#connection.start();
  }

  /** On a page that needs no line. */
  hangUp(): void {
    this.#wanted = null;
    this.#connection.stop();
  }

  retryNow(): void {
    this.#connection.retryNow();
  }

  /** Takes the seat back from another window. */
  takeBack(): void {
    this.#connection.start();
  }

  /** Opens a game. Resolves to its room, or to null with `problem` set. */
  async open(choices: Choices): Promise<string | null> {
    keepChoices(choices);
    this.problem = null;
    this.opening = true;
    const joined = new Promise<string | null>((resolve) => (this.#onJoined = resolve));
    const { kind, mode } = choices;
    const name = [...choices.name.trim()].slice(0, this.limits?.name ?? 0).join('');
    const reply = await this.#connection.request({ type: 'open', kind, mode, name });
    const room = this.#ok(reply) ? await joined : null;
    this.opening = false;
    return room;
  }
  #onJoined: (room: string | null) => void = () => {};

  async answer(round: number, text: string): Promise<void> {
    if (!this.room) return;
    this.problem = null;
    this.sending = { room: this.room.room, round, text };
    const reply = await this.#connection.request({ type: 'answer', round, text });
    // When the line went dead the answer is sent again after the resume, if it is still due.
    if (reply.is === 'refused') {
      this.sending = null;
      this.#ok(reply);
    }
  }

  async stop(): Promise<void> {
    this.problem = null;
    this.#ok(await this.#connection.request({ type: 'stop' }));
  }

  #ok(reply: Reply): boolean {
    if (reply.is === 'refused') this.problem = t.trouble.refusals[reply.code];
    if (reply.is === 'lost') this.problem = t.trouble.lost;
    return reply.is === 'accepted';
  }

  #resume(): void {
    const position = this.#connection.position();
    if (!position || this.#resuming) return;
    this.#resuming = true;
    void this.#connection.resume(position).then((reply) => {
      this.#resuming = false;
      this.#connection.onresumed(reply);
    });
  }

  #hear(message: ToClient): void {
    if (message.type === 'welcome') {
      this.welcomed = true;
      this.limits = message.limits;
      this.openRoom = message.room;
      // The line went dead between the seat and the news of it.
      if (this.opening) this.#onJoined(message.room);
      return;
    }
    if (message.type === 'joined') {
      // Either the room that the page is about, or the answer to `open`, or nobody asked.
      if (message.room !== this.#wanted) {
        if (!this.opening) return;
        this.#wanted = message.room;
        this.#onJoined(message.room);
      }
    }
    if (message.type === 'event') this.skew = message.at - Date.now();
    const before = this.room;
    const after = reduce(before, message);
    if (!after || after === before) return;
    this.room = after;
    if (after.gap) this.#resume();
    this.#settleSending(message);
    this.#noteEnd(after);
    this.#announce(before, after, message);
  }

  #settleSending(message: ToClient): void {
    const { sending, room } = this;
    if (!sending || !room) return;
    const arrived = hasAnswered(room.events, room.seat, sending.round);
    if (sending.room !== room.room || arrived || endOf(room.events)) {
      this.sending = null;
    } else if (message.type === 'joined') {
      // Back after a dead line, and the answer never arrived.
      const { doing } = room;
      if (doing.what === 'witnesses_answer' && doing.your_turn) {
        void this.answer(sending.round, sending.text);
      } else {
        this.sending = null;
      }
    }
  }

  #noteEnd(room: Room): void {
    const rules = rulesOf(room.events);
    const outcome = endOf(room.events)?.outcome;
    if (!rules || !outcome) return;
    const { kind, mode } = rules;
    const { winner, player_score: score } = outcome;
    note({ room: room.room, kind, mode, winner, score });
    if (this.openRoom === room.room) this.openRoom = null;
  }

  /** Says what is new, whole line by whole line; not what a newcomer finds on the table. */
  #announce(before: Room | null, after: Room, message: ToClient): void {
    const stayed = before?.room === after.room && before.epoch === after.epoch;
    if (stayed && message.type === 'joined') this.#say(t.play.back);
    const fresh = stayed ? after.events.slice(before.events.length) : [];
    for (const { event } of fresh) {
      if (event?.type === 'asked') this.#say(t.say.question(event.text));
      if (event?.type === 'answered' && event.seat !== after.seat) {
        this.#say(t.say.answer(event.seat, event.text));
      }
      if (event?.type === 'judged') {
        const { decision, reasoning } = event.verdict;
        this.#say(t.say.judged(decision, beliefIn(decision, event.verdict), reasoning));
      }
      if (event?.type === 'ended') {
        const rules = rulesOf(after.events);
        if (rules) this.#say(t.say.ended(headline(event, rules.kind)));
      }
    }
    const due = (room: Room | null) =>
      room?.doing.what === 'witnesses_answer' && room.doing.your_turn;
    if (due(after) && !due(before)) this.#say(t.say.yourTurn);
  }

  #say(text: string): void {
    this.#nextSaid += 1;
    this.said = [...this.said, { id: this.#nextSaid, text }].slice(-6);
  }
}

export const parlour = new Parlour();
