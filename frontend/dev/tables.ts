/**
 * Tables for many in the stand-in server: enough of the rules to work on the pages. Machines
 * answer from a script, time runs out for nobody, and every vote counts alike.
 */
import { randomUUID } from 'node:crypto';

import type { Act } from '../src/wire/Act';
import type { Ballot } from '../src/wire/Ballot';
import type { FromClient } from '../src/wire/FromClient';
import type { Member } from '../src/wire/Member';
import type { Role } from '../src/wire/Role';
import type { Setup } from '../src/wire/Setup';
import type { Stamped } from '../src/wire/Stamped';
import type { TableCard } from '../src/wire/TableCard';
import type { TableDoing } from '../src/wire/TableDoing';
import type { TableEvent } from '../src/wire/TableEvent';
import type { ToClient } from '../src/wire/ToClient';
import type { Voter } from '../src/wire/Voter';
import type { Witness } from '../src/wire/Witness';

type Say = (message: ToClient) => void;
type Entry = Stamped<TableEvent>;

const QUESTIONS = [
  'What did you think of this morning that you have told nobody?',
  'Which smell would you keep, if you could keep one?',
  'What do you always say wrong, and know it?',
];
const ANSWERS = [
  'Rain on a hot street. Everybody says that, but I mean a particular street.',
  'I think that each of us has a story worth telling, and that is wonderful.',
  'Please go on.',
];
const LETTERS = 'ABCDEFGH';

const code = (): string => {
  const digits = randomUUID().replace(/-/g, '').toUpperCase();
  return `${digits.slice(0, 4)}-${digits.slice(4, 8)}`;
};

interface Guest {
  key: string;
  name: string;
  role: Role;
  seat: string;
  say: Say | null;
  removed: boolean;
}

export class MockTable {
  readonly room = code();
  readonly guests: Guest[] = [];
  readonly events: Entry[] = [];
  host: Member = 0;
  #setup: Setup;
  #doing: TableDoing['what'] = 'gathering';
  #round = 0;
  #game = 0;
  #chairs: Witness[] = [];
  #judge: Member | null = null;
  #replies = new Map<number, string | null>();
  #ballots = new Map<string, { voter: Voter; ballot: Ballot }>();
  #until: number | null = null;
  /** Where the present game begins. */
  #from = 0;
  readonly #changed: () => void;

  constructor(setup: Setup, changed: () => void) {
    this.#setup = setup;
    this.#changed = changed;
    this.#append({ type: 'table_opened', setup });
  }

  get card(): TableCard | null {
    const spectators = this.guests.filter(({ role }) => role === 'spectator').length;
    if (!this.#setup.listed) return null;
    return {
      room: this.room,
      host: this.guests[this.host]?.name ?? '',
      setup: this.#setup,
      players: this.guests.length - spectators,
      spectators,
      playing: this.#playing,
    };
  }

  get #playing(): boolean {
    return this.#doing !== 'gathering' && this.#doing !== 'over';
  }

  come(key: string, name: string, role: Role, say: Say, offset: number): void {
    let member = this.guests.findIndex((guest) => guest.key === key);
    if (member < 0) {
      member = this.guests.length;
      this.guests.push({
        key,
        name: name || 'Guest',
        role,
        seat: randomUUID(),
        say: null,
        removed: false,
      });
      this.#append({ type: 'came', member, name: name || 'Guest', role, key: null });
    }
    const guest = this.guests[member];
    if (!guest) return;
    guest.say = say;
    say({
      type: 'seated',
      room: this.room,
      epoch: 1,
      offset,
      you: member,
      seat: guest.seat,
      events: this.events.slice(offset).map((entry) => this.#seen(entry, member)),
      doing: this.#doingOf(member),
      present: this.#present(),
    });
    this.#tellPresence();
  }

  away(key: string): void {
    for (const guest of this.guests) if (guest.key === key) guest.say = null;
    this.#tellPresence();
  }

  act(key: string, act: Act): string | null {
    const member = this.guests.findIndex((guest) => guest.key === key);
    const me = this.guests[member];
    if (!me) return 'there is no such member';
    switch (act.act) {
      case 'take':
        me.role = act.role;
        this.#append({ type: 'role_changed', member, role: act.role });
        return null;
      case 'say':
        this.#append({ type: 'said', member, text: act.text });
        return null;
      case 'leave':
        this.#append({ type: 'went', member, removed: false });
        return null;
      case 'remove':
        this.#append({ type: 'went', member: act.member, removed: true });
        for (const guest of this.guests.slice(act.member, act.member + 1)) guest.removed = true;
        return null;
      case 'mute':
        this.#append({ type: 'muted', member: act.member, muted: act.muted });
        return null;
      case 'hand_over':
        this.host = act.member;
        this.#append({ type: 'host_changed', member: act.member });
        return null;
      case 'setup':
        this.#setup = act.setup;
        this.#append({ type: 'setup_changed', setup: act.setup });
        return null;
      case 'start':
      case 'rematch':
        this.#start();
        return null;
      case 'stop':
        this.#finish('stopped');
        return null;
      case 'question':
        if (this.#doing !== 'asking' || this.#judge !== member) return 'it is not your turn';
        this.#question(act.text);
        return null;
      case 'answer': {
        const chair = this.#chairOf(member);
        if (this.#doing !== 'answering' || chair < 0 || this.#replies.has(chair)) {
          return 'it is not your turn';
        }
        this.#reply(chair, act.text);
        return null;
      }
      case 'call_vote':
        if (this.#doing !== 'asking' || this.#round < 2) return 'it is not your turn';
        this.#openBallots();
        return null;
      case 'vote':
        if (this.#doing !== 'voting') return 'it is not your turn';
        this.#vote({ voter: 'person', member }, act.ballot);
        return null;
    }
  }

  #start(): void {
    this.#game += 1;
    this.#round = 0;
    this.#from = this.events.length;
    this.#ballots.clear();
    const wanting = this.guests.flatMap(({ role }, member) => (role === 'witness' ? [member] : []));
    const people = wanting.slice(0, this.#setup.people);
    this.#chairs = [
      ...people.map((member): Witness => ({ who: 'person', member })),
      ...this.#setup.machines.map((machine): Witness => ({ who: 'machine', machine })),
    ].sort(() => Math.random() - 0.5);
    const judge = this.guests.findIndex(({ role }) => role === 'judge');
    this.#judge = this.#setup.bench === 'person' ? judge : null;
    this.#append({
      type: 'started',
      game: this.#game,
      chairs: this.#chairs,
      count: this.#chairs.length,
      yours: null,
      judge: this.#judge,
      seed: 42,
    });
    void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#round += 1;
    this.#become('asking');
    if (this.#judge !== null) return;
    await pause(600);
    this.#question(QUESTIONS[(this.#round - 1) % QUESTIONS.length] ?? '');
  }

  #question(text: string): void {
    this.#replies.clear();
    this.#append({ type: 'questioned', round: this.#round, text });
    this.#become('answering');
    this.#chairs.forEach((witness, chair) => {
      if (witness.who === 'machine') {
        const text = ANSWERS[(chair + this.#round) % ANSWERS.length] ?? '';
        setTimeout(() => this.#reply(chair, text), 400 + chair * 150);
      }
    });
  }

  #reply(chair: number, text: string): void {
    if (this.#doing !== 'answering') return;
    this.#replies.set(chair, text);
    this.#append({ type: 'replied', round: this.#round, chair, text });
    this.#tellDoing();
    if (this.#replies.size === this.#chairs.length) void this.#reveal();
  }

  async #reveal(): Promise<void> {
    const round = this.#round;
    this.#append({
      type: 'revealed',
      round,
      answers: this.#chairs.map((_, chair) => ({ chair, text: this.#replies.get(chair) ?? null })),
    });
    if (this.#judge === null) {
      this.#become('weighing');
      await pause(700);
      this.#append({
        type: 'weighed',
        round,
        opinion: {
          reasoning: `${LETTERS[0]} hesitates in the way people do. The others answer the occasion rather than the question.`,
          beliefs: this.#chairs.map((_, chair) => ({
            chair,
            human: ((chair * 37 + round * 23) % 80) + 10,
            reading: null,
            surprise: null,
            curvature: null,
          })),
        },
      });
    }
    if (round >= this.#setup.rounds) this.#openBallots();
    else void this.#ask();
  }

  #openBallots(): void {
    this.#append({ type: 'ballots_opened' });
    this.#become('voting');
    if (this.#judge === null) {
      this.#vote({ voter: 'machine' }, { human: 0, confidence: 61 });
    }
  }

  #vote(voter: Voter, ballot: Ballot): void {
    this.#ballots.set(JSON.stringify(voter), { voter, ballot });
    this.#append({ type: 'voted', voter, ballot });
    this.#tellDoing();
    const awaited = this.guests.some((_, member) => this.#mayVote(member));
    if (!awaited) this.#finish('played');
  }

  #mayVote(member: Member): boolean {
    if (this.#ballots.has(JSON.stringify({ voter: 'person', member }))) return false;
    if (this.#judge !== null) return member === this.#judge;
    return this.#setup.bench === 'everybody' && this.guests[member]?.role === 'witness';
  }

  #finish(finish: 'played' | 'stopped'): void {
    const ballots = [...this.#ballots.values()];
    this.#doing = 'over';
    this.#append({
      type: 'finished',
      finish,
      chairs: this.#chairs.map((witness, chair) => ({
        chair,
        witness,
        taken_for_human: Math.round(
          (100 * ballots.filter(({ ballot }) => ballot.human === chair).length) /
            Math.max(1, ballots.length),
        ),
        won: finish === 'played' && chair === ballots.at(-1)?.ballot.human,
      })),
      voters: ballots.map(({ voter, ballot }) => {
        const right = this.#chairs[ballot.human]?.who === 'person';
        const miss = (right ? 100 - ballot.confidence : ballot.confidence) / 100;
        return { voter, ballot, right, score: Math.round(100 * (1 - miss * miss)) };
      }),
    });
    this.#tell((member) => ({
      type: 'table_unveiled',
      room: this.room,
      events: this.events.slice(this.#from).map((entry) => this.#seen(entry, member)),
    }));
    this.#become('over');
  }

  #chairOf(member: Member): number {
    return this.#chairs.findIndex(
      (witness) => witness.who === 'person' && witness.member === member,
    );
  }

  #seen(entry: Entry, member: Member): Entry {
    const { event } = entry;
    const open = entry.offset < this.#from || !this.#playing;
    if (!event || (open && event.type !== 'started')) return entry;
    const hide = { ...entry, event: null };
    const chair = this.#chairOf(member);
    switch (event.type) {
      case 'started':
        return {
          ...entry,
          event: {
            ...event,
            chairs: open ? event.chairs : null,
            yours: chair < 0 ? null : chair,
            seed: open ? event.seed : null,
          },
        };
      case 'replied':
        return event.chair === chair ? entry : hide;
      case 'weighed':
        return this.#setup.mode === 'blind' ? hide : entry;
      case 'voted':
        return event.voter.voter === 'person' && event.voter.member === member
          ? entry
          : { ...entry, event: { ...event, ballot: null } };
      default:
        return entry;
    }
  }

  #append(event: TableEvent): void {
    const entry: Entry = { offset: this.events.length, at: Date.now(), event };
    this.events.push(entry);
    this.#tell((member) => ({
      type: 'table_event',
      room: this.room,
      ...this.#seen(entry, member),
    }));
    this.#changed();
  }

  #become(what: TableDoing['what']): void {
    this.#doing = what;
    this.#until = Date.now() + this.#setup.seconds * 1000;
    this.#tellDoing();
  }

  #tellDoing(): void {
    this.#tell((member) => ({
      type: 'table_doing',
      room: this.room,
      doing: this.#doingOf(member),
    }));
  }

  #doingOf(member: Member): TableDoing {
    const [round, until] = [this.#round, this.#until];
    const chair = this.#chairOf(member);
    switch (this.#doing) {
      case 'asking':
        return { what: 'asking', round, your_turn: this.#judge === member, until };
      case 'answering':
        return {
          what: 'answering',
          round,
          your_turn: chair >= 0 && !this.#replies.has(chair),
          until,
        };
      case 'weighing':
        return { what: 'weighing', round };
      case 'voting':
        return { what: 'voting', your_turn: this.#mayVote(member), until };
      default:
        return { what: this.#doing };
    }
  }

  #present(): Member[] {
    return this.guests.flatMap(({ say }, member) => (say ? [member] : []));
  }

  #tellPresence(): void {
    this.#tell(() => ({ type: 'present', room: this.room, present: this.#present() }));
    this.#changed();
  }

  #tell(message: (member: Member) => ToClient): void {
    this.guests.forEach(({ say }, member) => say?.(message(member)));
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const tables = new Map<string, MockTable>();
const watchers = new Map<string, Say>();

function tellWatchers(): void {
  const cards = [...tables.values()].flatMap(({ card }) => (card ? [card] : [])).reverse();
  for (const say of watchers.values()) say({ type: 'lobby', tables: cards });
}

/** The record of a table's finished games. */
export function tableRecord(room: string): { room: string; epoch: number; events: Entry[] } | null {
  const table = tables.get(room);
  const last = table?.events.findLastIndex(({ event }) => event?.type === 'finished') ?? -1;
  return table && last >= 0 ? { room, epoch: 1, events: table.events.slice(0, last + 1) } : null;
}

/** One guest's dealings with tables. False if the message is about something else. */
export class MockGuest {
  #table: MockTable | null = null;
  readonly #key: string;
  readonly #say: Say;

  constructor(key: string, say: Say) {
    this.#key = key;
    this.#say = say;
  }

  gone(): void {
    watchers.delete(this.#key);
    this.#table?.away(this.#key);
    this.#table = null;
  }

  hear(message: FromClient): boolean {
    const [key, say] = [this.#key, this.#say];
    switch (message.type) {
      case 'lobby':
        say({ type: 'accepted', id: message.id });
        if (message.watch) watchers.set(key, say);
        else watchers.delete(key);
        tellWatchers();
        return true;
      case 'open_table': {
        const table = new MockTable(message.setup, tellWatchers);
        tables.set(table.room, table);
        say({ type: 'accepted', id: message.id });
        this.#table = table;
        table.come(key, message.name, message.role, say, 0);
        return true;
      }
      case 'join_table': {
        const table = tables.get(message.room);
        if (!table) {
          const code = 'no_such_room';
          say({ type: 'refused', id: message.id, code, message: 'there is no such table' });
          return true;
        }
        if (table.guests.some((guest) => guest.key === key && guest.removed)) {
          say({ type: 'refused', id: message.id, code: 'not_yours', message: 'you were removed' });
          return true;
        }
        say({ type: 'accepted', id: message.id });
        this.#table = table;
        const { held } = message;
        table.come(key, message.name, message.role, say, held?.epoch === 1 ? held.offset : 0);
        return true;
      }
      case 'act': {
        const refusal = this.#table ? this.#table.act(key, message) : 'you sit at no table';
        say(
          refusal === null
            ? { type: 'accepted', id: message.id }
            : { type: 'refused', id: message.id, code: 'not_now', message: refusal },
        );
        return true;
      }
      case 'leave':
        this.#table?.away(key);
        this.#table = null;
        return false;
      default:
        return false;
    }
  }
}
