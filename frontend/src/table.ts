/**
 * A table for many as the client knows it: a pure reducer over what the server says.
 * What the pages ask of it is in sitting.ts.
 *
 * Laws (see table.test.ts), those of room.ts: an event counts once however often and in
 * whatever order it comes; a gap is never papered over but asked for; `seated` at 0 replaces
 * everything; what the rules veil is not held before its time, even if it were sent; what
 * was veiled, in whole or in part, is filled by the unveiling and by nothing else.
 */
import { grow, type Partial } from './room';
import type { Member } from './wire/Member';
import type { Stamped } from './wire/Stamped';
import type { TableDoing } from './wire/TableDoing';
import type { TableEvent } from './wire/TableEvent';
import type { ToClient } from './wire/ToClient';

/** An event of the table's log; null while it is veiled. */
export type Entry = Stamped<TableEvent>;

/** The lines of a table that can be watched while they are written. */
const LINES = ['question', 'reasoning'] as const;
type TableLine = (typeof LINES)[number];

export interface Table {
  room: string;
  epoch: number;
  you: Member;
  /** The log without holes: `events[i].offset === i`. */
  events: Entry[];
  doing: TableDoing;
  /** Who has a socket open. */
  present: Member[];
  partials: { [line in TableLine]?: Partial };
  /** Something is missing: ask for everything from `events.length` on. */
  gap: boolean;
}

/** What follows from one message. Anything about another room changes nothing. */
export function reduce(table: Table | null, message: ToClient): Table | null {
  if (message.type === 'seated') return seat(table, message);
  if (!table || !('room' in message) || message.room !== table.room) return table;
  switch (message.type) {
    case 'table_event': {
      const { offset, at, event } = message;
      return take(table, [{ offset, at, event }]);
    }
    case 'table_unveiled':
      return unveil(table, message.events);
    case 'table_doing':
      return { ...table, doing: message.doing };
    case 'present':
      return { ...table, present: message.present };
    case 'partial':
      return stream(table, message);
    default:
      return table;
  }
}

function seat(table: Table | null, message: ToClient & { type: 'seated' }): Table {
  const { room, epoch, you, doing, present, offset } = message;
  const held = table?.room === room && table.epoch === epoch ? table.events : null;
  const base = { room, epoch, you, doing, present, partials: {} };
  // A continuation of something that is not held: start from nothing.
  if (offset > 0 && !held) return { ...base, events: [], gap: true };
  const start: Table = { ...base, events: offset > 0 && held ? held : [], gap: false };
  return take(start, message.events);
}

/** Adds events to the log: known ones are skipped, veiled ones filled, a hole is asked for. */
function take(table: Table, incoming: readonly Entry[]): Table {
  const events = [...table.events];
  let gap = false;
  for (const entry of incoming) {
    const held = events[entry.offset];
    if (held) {
      if (!held.event && entry.event) events[entry.offset] = entry;
    } else if (entry.offset === events.length) {
      events.push(entry);
    } else {
      gap = true;
      break;
    }
  }
  return settle(table, events, gap || (table.gap && events.length === table.events.length));
}

/** Replaces what was veiled, also where only a part of an event was. */
function unveil(table: Table, incoming: readonly Entry[]): Table {
  const events = [...table.events];
  for (const entry of incoming) {
    if (events[entry.offset] && entry.event) events[entry.offset] = entry;
  }
  return settle(table, events, table.gap);
}

function settle(table: Table, events: Entry[], gap: boolean): Table {
  const veiled = veil(events);
  return { ...table, events: veiled, gap, partials: unfinished(table.partials, veiled) };
}

/** Where the game that is being played begins in the log; null when none is. */
export function playingFrom(events: readonly Entry[]): number | null {
  for (let index = events.length - 1; index >= 0; index -= 1) {
    const type = events[index]?.event?.type;
    if (type === 'finished') return null;
    if (type === 'started') return index;
  }
  return null;
}

/**
 * Takes out what nobody may know while a game is played. The server does not send it; if it
 * did, nobody would read it.
 */
function veil(events: Entry[]): Entry[] {
  const from = playingFrom(events);
  const started = from === null ? null : events[from]?.event;
  if (from === null || started?.type !== 'started') return events;
  const { yours } = started;
  const blind = setupAt(events, from)?.mode === 'blind';
  const revealed = new Set(
    events.slice(from).flatMap(({ event }) => (event?.type === 'revealed' ? [event.round] : [])),
  );
  return events.map((entry, index) => {
    const { event } = entry;
    if (index < from || !event) return entry;
    switch (event.type) {
      case 'started':
        return event.chairs ? { ...entry, event: { ...event, chairs: null } } : entry;
      case 'replied':
        return event.chair === yours || revealed.has(event.round)
          ? entry
          : { ...entry, event: null };
      case 'weighed':
        return blind ? { ...entry, event: null } : entry;
      default:
        return entry;
    }
  });
}

/** The setup that holds at `index` of the log. */
export function setupAt(events: readonly Entry[], index: number) {
  for (let at = Math.min(index, events.length - 1); at >= 0; at -= 1) {
    const event = events[at]?.event;
    if (event?.type === 'setup_changed' || event?.type === 'table_opened') return event.setup;
  }
  return null;
}

function stream(table: Table, message: ToClient & { type: 'partial' }): Table {
  const { line, round, attempt, from, text } = message;
  if (line === 'other_answer' || finished(table.events, line, round)) return table;
  const start = playingFrom(table.events);
  const blind = start !== null && setupAt(table.events, start)?.mode === 'blind';
  if (blind && line === 'reasoning') return table;
  const held = table.partials[line];
  const grown = grow(held, { round, attempt, from, text });
  return grown === held ? table : { ...table, partials: { ...table.partials, [line]: grown } };
}

/** Drops the streamed lines that have come whole. */
function unfinished(partials: Table['partials'], events: readonly Entry[]): Table['partials'] {
  const left: Table['partials'] = {};
  for (const line of LINES) {
    const partial = partials[line];
    if (partial && !finished(events, line, partial.round)) left[line] = partial;
  }
  return left;
}

/** Whether `line` of `round` has come whole, or can no longer be written. */
function finished(events: readonly Entry[], line: TableLine, round: number): boolean {
  const from = playingFrom(events);
  if (from === null) return true;
  return events.slice(from).some(({ event }) => {
    if (event?.type === 'ballots_opened') return line === 'question';
    if (event?.type === 'weighed') return event.round >= round;
    return event?.type === 'questioned' && event.round >= round + (line === 'question' ? 0 : 1);
  });
}
