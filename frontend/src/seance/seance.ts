/**
 * A séance as the page knows it: a pure reducer over what the server says.
 *
 * Laws (see seance.test.ts): an event counts once however often it comes; a gap is asked
 * for; what was said in a sitting is gone from the page when the next one begins or nobody
 * sits any more; what the spirit said and nobody heard is gone when it is silenced.
 */
import { NONE, withClause, type Captions } from './captions';
import type { Hush } from '../wire/Hush';
import type { Put } from '../wire/Put';
import type { SeanceDoing } from '../wire/SeanceDoing';
import type { SeanceEvent } from '../wire/SeanceEvent';
import type { SeanceMeans } from '../wire/SeanceMeans';
import type { SeedFrom } from '../wire/SeedFrom';
import type { Stamped } from '../wire/Stamped';
import type { ToClient } from '../wire/ToClient';
import type { Tongue } from '../wire/Tongue';

type Entry = Stamped<SeanceEvent>;

export interface Asked {
  is: 'asked';
  question: number;
  text: string;
  language: string;
  put: Put;
  seed: number;
  seedFrom: SeedFrom;
}
export interface Said {
  is: 'said';
  line: number;
  question: number;
  part: number;
  /** Empty until the whole line is known: then its captions are all there is. */
  text: string;
  language: string;
  tongue: Tongue;
  captions: Captions;
  /** Words that were heard, as the house knows. */
  heard: number;
  /** It was silenced after that. */
  cut: boolean;
  /** The voice could not take on the asker's timbre. */
  unlike: boolean;
}
export interface Silence {
  is: 'silence';
  line: number;
  why: Hush;
}
export type Turn = Asked | Said | Silence;

export interface Seance {
  room: string;
  epoch: number;
  /** Offset of the next event. */
  next: number;
  /** The member that one is; null for one who watches. */
  you: number | null;
  sitters: number[];
  /** What was said in this sitting. */
  turns: Turn[];
  doing: SeanceDoing;
  means: SeanceMeans | null;
  /** The place in the queue, from 1; null for one who sits or watches. */
  place: number | null;
  waiting: number;
  taken: boolean;
  /** What is being said, as far as it was understood. */
  hearing: string;
  /** The member who speaks. */
  speaking: number | null;
  /** The last thing that was said could not be understood. */
  unheard: boolean;
  gap: boolean;
}

/** What follows from one message. Anything about another room changes nothing. */
export function reduce(seance: Seance | null, message: ToClient): Seance | null {
  if (message.type === 'seance') return enter(seance, message);
  if (!seance || !('room' in message) || message.room !== seance.room) return seance;
  switch (message.type) {
    case 'seance_event': {
      const { offset, at, event } = message;
      return take(seance, [{ offset, at, event }]);
    }
    case 'seance_doing':
      return { ...seance, doing: message.doing };
    case 'seance_means':
      return { ...seance, means: message.means };
    case 'waiting': {
      const { place, waiting, taken } = message;
      return { ...seance, place, waiting, taken };
    }
    case 'hearing':
      return seance.speaking === null ? seance : { ...seance, hearing: message.text };
    case 'caption':
      return caption(seance, message);
    case 'line_over':
      return withLine(seance, message.line, (said) => ({
        ...said,
        captions: { ...said.captions, over: true },
      }));
    default:
      return seance;
  }
}

function enter(seance: Seance | null, message: ToClient & { type: 'seance' }): Seance {
  const { room, epoch, you, doing, offset } = message;
  const same = seance?.room === room && seance.epoch === epoch;
  const continues = same && offset <= seance.next && offset > 0;
  const start: Seance = {
    room,
    epoch,
    next: continues ? seance.next : offset,
    you,
    sitters: continues ? seance.sitters : [],
    turns: continues ? seance.turns : [],
    doing,
    means: same ? seance.means : null,
    place: same ? seance.place : null,
    waiting: same ? seance.waiting : 0,
    taken: same ? seance.taken : false,
    hearing: '',
    speaking: continues ? seance.speaking : null,
    unheard: false,
    gap: false,
  };
  return take(start, message.events);
}

function take(seance: Seance, entries: readonly Entry[]): Seance {
  let now = seance;
  for (const { offset, event } of entries) {
    if (offset < now.next) continue;
    if (offset > now.next) return { ...now, gap: true };
    now = { ...now, next: offset + 1, gap: false };
    if (event) now = follow(now, event);
  }
  return now;
}

function follow(seance: Seance, event: SeanceEvent): Seance {
  switch (event.type) {
    case 'sat':
      return {
        ...seance,
        ...FORGOTTEN,
        sitters: [...seance.sitters.filter((member) => member !== event.member), event.member],
      };
    case 'left': {
      const sitters = seance.sitters.filter((member) => member !== event.member);
      const over = sitters.length === 0 && seance.sitters.length > 0;
      const you = seance.you === event.member ? null : seance.you;
      const left = { ...seance, sitters, you };
      if (over) return { ...left, ...FORGOTTEN };
      return seance.speaking === event.member ? { ...left, speaking: null, hearing: '' } : left;
    }
    case 'listening':
      return { ...silenced(seance), speaking: event.member, hearing: '', unheard: false };
    case 'unheard':
      return { ...seance, speaking: null, hearing: '', unheard: true };
    case 'asked': {
      const { question, text, language, put, seed, seed_from: seedFrom } = event;
      const quiet = silenced(seance);
      const asked: Asked = { is: 'asked', question, text, language, put, seed, seedFrom };
      const turns = [...quiet.turns, asked];
      return { ...quiet, turns, speaking: null, hearing: '', unheard: false };
    }
    case 'said': {
      const { line, question, part, text, language, tongue } = event;
      const known = lineOf(seance, line);
      const said: Said = {
        ...(known ?? { is: 'said', line, captions: NONE, heard: 0, cut: false, unlike: false }),
        ...{ question, part, text, language, tongue },
      };
      const turns = known
        ? seance.turns.map((turn) => (turn === known ? said : turn))
        : [...seance.turns, said];
      return { ...seance, turns };
    }
    case 'silence':
      return {
        ...seance,
        turns: [...seance.turns, { is: 'silence', line: event.line, why: event.why }],
      };
    case 'heard':
      return {
        ...seance,
        turns: seance.turns.map((turn) => {
          if (turn.is !== 'said' || turn.cut || turn.line > event.line) return turn;
          const all = wordsOf(turn).length;
          const heard = turn.line < event.line ? all : Math.min(all, event.words);
          return { ...turn, heard: Math.max(turn.heard, heard) };
        }),
      };
    case 'hushed':
      return silenced(seance);
    default:
      return seance;
  }
}

const FORGOTTEN = {
  turns: [],
  hearing: '',
  speaking: null,
  unheard: false,
} satisfies Partial<Seance>;

/** What was not heard is gone. */
function silenced(seance: Seance): Seance {
  const turns = seance.turns.flatMap((turn) => {
    if (turn.is !== 'said' || turn.cut) return [turn];
    if (turn.heard === 0) return [];
    return [turn.heard < wordsOf(turn).length ? { ...turn, cut: true } : turn];
  });
  return { ...seance, turns };
}

function caption(seance: Seance, message: ToClient & { type: 'caption' }): Seance {
  const { line } = message;
  if (lineOf(seance, line)) {
    return withLine(seance, line, (said) => ({
      ...said,
      captions: withClause(said.captions, message),
      unlike: said.unlike || message.unlike,
    }));
  }
  // It is spoken before it is known whole.
  const last = seance.turns.findLast((turn) => turn.is === 'asked');
  const said: Said = {
    is: 'said',
    line,
    question: last?.question ?? 0,
    part: 0,
    text: '',
    language: last?.language ?? '',
    tongue: 'own',
    captions: withClause(NONE, message),
    heard: 0,
    cut: false,
    unlike: message.unlike,
  };
  return { ...seance, turns: [...seance.turns, said] };
}

export function lineOf(seance: Seance, line: number): Said | null {
  const found = seance.turns.find((turn): turn is Said => turn.is === 'said' && turn.line === line);
  return found ?? null;
}

function withLine(seance: Seance, line: number, change: (said: Said) => Said): Seance {
  const turns = seance.turns.map((turn) =>
    turn.is === 'said' && turn.line === line && !turn.cut ? change(turn) : turn,
  );
  return { ...seance, turns };
}

/** The words of a line, as they are counted. */
export function wordsOf(said: Said): string[] {
  if (said.text === '') return said.captions.words.map((word) => word.text);
  return said.text.split(/\s+/u).filter((word) => word !== '');
}

/** Words of a line that may be read: those that were heard, or sound, or all of an old one. */
export function readable(said: Said, shown: number): string[] {
  return wordsOf(said).slice(0, said.cut ? said.heard : Math.max(said.heard, shown));
}

/** Whether one may ask. What is held of the log may begin after one sat down. */
export function sits({ you, sitters, taken, place }: Seance): boolean {
  return you !== null && (sitters.includes(you) || (taken && place === null));
}
