/**
 * One room as the client knows it: a pure reducer over what the server says, and the
 * questions that the views ask of it.
 *
 * Laws (see room.test.ts): an event is shown once however often it comes; a gap is never
 * papered over but asked for; a new attempt at a line wipes the old one; a finished line
 * replaces what was streamed of it; what a mode veils is not held before the end.
 */
import type { Doing } from './wire/Doing';
import type { Ending } from './wire/Ending';
import type { Event } from './wire/Event';
import type { Line } from './wire/Line';
import type { Outcome } from './wire/Outcome';
import type { Rules } from './wire/Rules';
import type { Seat } from './wire/Seat';
import type { Stamped } from './wire/Stamped';
import type { ToClient } from './wire/ToClient';
import type { Verdict } from './wire/Verdict';

/** An event of the log; null while the mode veils it. */
export type Entry = Stamped<Event>;

/** A line that is being written. */
export interface Partial {
  round: number;
  attempt: number;
  text: string;
}

export interface Room {
  room: string;
  epoch: number;
  seat: Seat;
  /** The log without holes: `events[i].offset === i`. */
  events: Entry[];
  doing: Doing;
  partials: { [line in Line]?: Partial };
  /** Something is missing: ask for everything from `events.length` on. */
  gap: boolean;
}

/** What follows from one message. Anything about another room changes nothing. */
export function reduce(room: Room | null, message: ToClient): Room | null {
  if (message.type === 'joined') return join(room, message);
  if (!room || !('room' in message) || message.room !== room.room) return room;
  switch (message.type) {
    case 'event': {
      const { offset, at, event } = message;
      return take(room, [{ offset, at, event }]);
    }
    case 'unveiled':
      return take(room, message.events);
    case 'doing':
      return { ...room, doing: message.doing };
    case 'partial':
      return stream(room, message);
    default:
      return room;
  }
}

function join(room: Room | null, message: ToClient & { type: 'joined' }): Room | null {
  const { room: name, epoch, seat, doing } = message;
  const continues = message.offset > 0;
  if (continues && (room?.room !== name || room.epoch !== epoch)) {
    // A continuation of something that is not held: start from nothing.
    const empty: Room = { room: name, epoch, seat, events: [], doing, partials: {}, gap: true };
    return empty;
  }
  const base: Room = {
    room: name,
    epoch,
    seat,
    events: continues && room ? room.events : [],
    doing,
    // The room sends its unfinished lines again from the start.
    partials: {},
    gap: false,
  };
  return take(base, message.events);
}

/** Adds events to the log: known ones are skipped, veiled ones filled, a hole is asked for. */
function take(room: Room, incoming: readonly Entry[]): Room {
  const events = [...room.events];
  let gap = false;
  for (const stamped of incoming) {
    const held = events[stamped.offset];
    if (held) {
      if (!held.event && stamped.event) events[stamped.offset] = stamped;
    } else if (stamped.offset === events.length) {
      events.push(stamped);
    } else {
      gap = true;
      break;
    }
  }
  const rules = rulesOf(events);
  const over = endOf(events) !== null;
  const veils = rules?.mode === 'blind' && !over;
  const seen = veils ? events.map((stamped) => veil(stamped, room.seat)) : events;
  return {
    ...room,
    events: seen,
    doing: over ? { what: 'over' } : room.doing,
    partials: unfinished(room.partials, seen, over),
    gap: gap || (room.gap && events.length === room.events.length),
  };
}

/** The server never sends these before the end of a blind game. If it did, nobody would read them. */
function veil(stamped: Entry, mine: Seat): Entry {
  const { event } = stamped;
  const hidden = event?.type === 'judged' || (event?.type === 'answered' && event.seat !== mine);
  return hidden ? { ...stamped, event: null } : stamped;
}

/** Drops the streamed lines that have come whole. */
function unfinished(
  partials: Room['partials'],
  events: readonly Entry[],
  over: boolean,
): Room['partials'] {
  if (over) return {};
  const left: Room['partials'] = {};
  for (const line of ['question', 'other_answer', 'reasoning'] as const) {
    const partial = partials[line];
    if (partial && !finished(events, line, partial.round)) left[line] = partial;
  }
  return left;
}

function finished(events: readonly Entry[], line: Line, round: number): boolean {
  const opened = events[0]?.event;
  const mine = opened?.type === 'opened' ? opened.player_seat : null;
  return events.some(({ event }) => {
    if (!event || event.type === 'opened' || event.type === 'ended') return false;
    // A line of a round that is past can no longer be written.
    if (event.round > round) return true;
    if (event.round < round) return false;
    switch (line) {
      case 'question':
        return event.type === 'asked';
      case 'other_answer':
        return (event.type === 'answered' && event.seat !== mine) || event.type === 'judged';
      case 'reasoning':
        return event.type === 'judged';
    }
  });
}

function stream(room: Room, message: ToClient & { type: 'partial' }): Room {
  const { line, round, attempt, from, text } = message;
  const over = endOf(room.events) !== null;
  const veiled = rulesOf(room.events)?.mode === 'blind' && line !== 'question';
  if (over || veiled || finished(room.events, line, round)) return room;

  const held = room.partials[line];
  const grown = grow(held, { round, attempt, from, text });
  return grown === held ? room : { ...room, partials: { ...room.partials, [line]: grown } };
}

/** A piece of a line that is being written. `from`: characters of the line before it. */
export interface Piece {
  round: number;
  attempt: number;
  from: number;
  text: string;
}

/** What is held of a line after one more piece of it; `held` itself if nothing is new. */
export function grow(held: Partial | undefined, piece: Piece): Partial | undefined {
  const { round, attempt, from, text } = piece;
  const same = held?.round === round && held.attempt === attempt;
  if (held && !same && (held.round > round || (held.round === round && held.attempt > attempt))) {
    return held;
  }
  const before = same ? [...held.text] : [];
  // A piece before this one was lost; the whole line will come with its event.
  if (from > before.length) return held;
  const whole = [...before.slice(0, from), ...text];
  // A piece that was sent twice, or a shorter one, adds nothing.
  if (same && whole.length <= before.length) return held;
  return { round, attempt, text: whole.join('') };
}

// ── What the views ask ────────────────────────────────────────────────────────────

export function rulesOf(events: readonly Entry[]): Rules | null {
  const opened = events[0]?.event;
  return opened?.type === 'opened' ? opened.rules : null;
}

export function endOf(
  events: readonly Entry[],
): { ending: Ending; outcome: Outcome | null } | null {
  const event = events.at(-1)?.event;
  return event?.type === 'ended' ? event : null;
}

export const other = (seat: Seat): Seat => (seat === 'A' ? 'B' : 'A');

/** What is known of a line: its text, that it exists but is veiled, or nothing yet. */
export type Known = { text: string; whole: boolean } | 'veiled' | null;

export interface Round {
  round: number;
  question: Known;
  answers: Record<Seat, Known>;
  verdict: Verdict | 'veiled' | null;
  reasoning: Known;
}

/** The log as rounds. `partials` adds what is being written now. */
export function roundsOf(
  events: readonly Entry[],
  mine: Seat,
  partials: Room['partials'] = {},
): Round[] {
  const rounds: Round[] = [];
  const at = (round: number): Round => {
    let found = rounds.find((known) => known.round === round);
    if (!found) {
      found = {
        round,
        question: null,
        answers: { A: null, B: null },
        verdict: null,
        reasoning: null,
      };
      rounds.push(found);
    }
    return found;
  };
  for (const { event } of events) {
    if (!event) {
      // Veiled within a round come the other's answer, then the verdict.
      const round = rounds.at(-1);
      if (round && !round.answers[other(mine)]) round.answers[other(mine)] = 'veiled';
      else if (round && !round.verdict) round.verdict = 'veiled';
    } else if (event.type === 'asked') {
      at(event.round).question = { text: event.text, whole: true };
    } else if (event.type === 'answered') {
      at(event.round).answers[event.seat] = { text: event.text, whole: true };
    } else if (event.type === 'judged') {
      const round = at(event.round);
      round.verdict = event.verdict;
      round.reasoning = { text: event.verdict.reasoning, whole: true };
    }
  }
  if (partials.question) {
    at(partials.question.round).question ??= { text: partials.question.text, whole: false };
  }
  if (partials.other_answer) {
    at(partials.other_answer.round).answers[other(mine)] ??= {
      text: partials.other_answer.text,
      whole: false,
    };
  }
  if (partials.reasoning) {
    at(partials.reasoning.round).reasoning ??= { text: partials.reasoning.text, whole: false };
  }
  return rounds;
}

/** The judge's probability, percent, that `seat` is the human. */
export function beliefIn(seat: Seat, verdict: Verdict): number {
  return verdict.decision === seat ? verdict.confidence : 100 - verdict.confidence;
}

export interface Belief {
  round: number;
  /** Probability that A is the human, percent. */
  a: number;
}

/** The belief after every round whose verdict is known. */
export function beliefsOf(events: readonly Entry[]): Belief[] {
  return events.flatMap(({ event }) =>
    event?.type === 'judged' ? [{ round: event.round, a: beliefIn('A', event.verdict) }] : [],
  );
}

/** Whether `seat` has answered in `round`. */
export function hasAnswered(events: readonly Entry[], seat: Seat, round: number): boolean {
  return events.some(
    ({ event }) => event?.type === 'answered' && event.seat === seat && event.round === round,
  );
}
