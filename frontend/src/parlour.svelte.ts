/** The game of one person against one machine: where the line and its room meet. */
import type { Reply, Request } from './connection';
import { house, type Visit } from './house.svelte';
import { beliefIn, endOf, hasAnswered, reduce, rulesOf, type Room } from './room';
import { keepChoices, note, type Choices } from './score';
import { t } from './strings';
import { headline } from './words';
import type { RefusalCode } from './wire/RefusalCode';
import type { ToClient } from './wire/ToClient';

/** Refusals that will not change by asking again. */
export const FOR_GOOD: ReadonlySet<RefusalCode> = new Set([
  'malformed',
  'no_such_room',
  'not_yours',
]);
export const RESUME_AGAIN_MS = 2000;

/** An answer that was sent and has not come back as an event yet. */
interface Sending {
  room: string;
  round: number;
  text: string;
}

class Parlour implements Visit {
  room = $state.raw<Room | null>(null);
  /** The room that the page is about cannot be had. */
  refused = $state.raw<RefusalCode | null>(null);
  sending = $state.raw<Sending | null>(null);
  opening = $state(false);

  #wanted: string | null = null;
  #resuming = false;

  /** In the lobby: connected, in no room. */
  visitLobby(): void {
    if (this.room && !endOf(this.room.events)) {
      house.openRoom = this.room.room;
      void house.request({ type: 'leave' });
    }
    this.#wanted = null;
    this.room = null;
    this.refused = null;
    house.receive(this);
  }

  /** At the table of `room`. */
  visitRoom(room: string): void {
    if (this.#wanted === room) return;
    this.#wanted = room;
    this.refused = null;
    if (this.room?.room !== room) this.room = null;
    if (house.receive(this)) this.#resume();
  }

  place(): string | null {
    return this.#wanted;
  }

  comeback(): Request | null {
    if (!this.#wanted) return null;
    const held = this.room?.room === this.#wanted ? this.room : null;
    return {
      type: 'resume',
      room: this.#wanted,
      epoch: held?.epoch ?? 0,
      offset: held?.events.length ?? 0,
    };
  }

  resumed(reply: Reply): void {
    if (reply.is !== 'refused') return;
    if (FOR_GOOD.has(reply.code)) this.refused = reply.code;
    else setTimeout(() => this.#resume(), RESUME_AGAIN_MS);
  }

  /** Opens a game. Resolves to its room, or to null with the house's `problem` set. */
  async open(choices: Choices): Promise<string | null> {
    keepChoices(choices);
    house.problem = null;
    this.opening = true;
    const joined = new Promise<string | null>((resolve) => (this.#onJoined = resolve));
    const { kind, mode } = choices;
    const name = [...choices.name.trim()].slice(0, house.limits?.name ?? 0).join('');
    const reply = await house.request({ type: 'open', kind, mode, name });
    const room = house.accepted(reply) ? await joined : null;
    this.opening = false;
    return room;
  }
  #onJoined: (room: string | null) => void = () => {};

  async answer(round: number, text: string): Promise<void> {
    if (!this.room) return;
    house.problem = null;
    this.sending = { room: this.room.room, round, text };
    const reply = await house.request({ type: 'answer', round, text });
    // When the line went dead the answer is sent again after the resume, if it is still due.
    if (reply.is === 'refused') {
      this.sending = null;
      house.accepted(reply);
    }
  }

  async stop(): Promise<void> {
    house.problem = null;
    house.accepted(await house.request({ type: 'stop' }));
  }

  #resume(): void {
    const comeback = this.comeback();
    if (!comeback || this.#resuming) return;
    this.#resuming = true;
    void house.request(comeback).then((reply) => {
      this.#resuming = false;
      this.resumed(reply);
    });
  }

  hear(message: ToClient): void {
    if (message.type === 'welcome') {
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
    if (house.openRoom === room.room) house.openRoom = null;
  }

  /** Says what is new, whole line by whole line; not what a newcomer finds on the table. */
  #announce(before: Room | null, after: Room, message: ToClient): void {
    const stayed = before?.room === after.room && before.epoch === after.epoch;
    if (stayed && message.type === 'joined') house.say(t.play.back);
    const fresh = stayed ? after.events.slice(before.events.length) : [];
    for (const { event } of fresh) {
      if (event?.type === 'asked') house.say(t.say.question(event.text));
      if (event?.type === 'answered' && event.seat !== after.seat) {
        house.say(t.say.answer(event.seat, event.text));
      }
      if (event?.type === 'judged') {
        const { decision, reasoning } = event.verdict;
        house.say(t.say.judged(decision, beliefIn(decision, event.verdict), reasoning));
      }
      if (event?.type === 'ended') {
        const rules = rulesOf(after.events);
        if (rules) house.say(t.say.ended(headline(event, rules.kind)));
      }
    }
    const due = (room: Room | null) =>
      room?.doing.what === 'witnesses_answer' && room.doing.your_turn;
    if (due(after) && !due(before)) house.say(t.say.yourTurn);
  }
}

export const parlour = new Parlour();
