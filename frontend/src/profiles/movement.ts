/**
 * Recorded movement, and the rules by which it is replayed. Pure: whoever calls brings the
 * recordings, the dice and the time.
 */

/** A draw, 0 or more and less than 1. */
export type Dice = () => number;

/** The least and the most of something. */
export type Range = readonly [number, number];

/** Milliseconds since a beginning, and the page's offset or the pointer's place then, CSS pixels. */
export type Point = readonly [at: number, ...place: number[]];

/** What the recorder saves; see docs/dead-profiles.md. */
export interface Recording {
  format: typeof FORMAT;
  /** The window's size, CSS pixels. */
  view: readonly [number, number];
  scroll: readonly Point[];
  mouse: readonly Point[];
}

export const FORMAT = 'parlour-movement 1';

/** What can be set. Times are seconds, lengths CSS pixels. */
export interface Rules {
  /** How long a profile is shown. */
  show: Range;
  /** How long a segment of scrolling is. */
  scroll: Range;
  /** How many of them run the other way, 0 to 1; never the first. */
  invert: number;
  /** How many of them begin with a jump, 0 to 1. */
  jump: number;
  /** How far such a jump goes. */
  leap: Range;
  /** How long a segment of the pointer is. */
  mouse: Range;
}

export const RULES: Rules = {
  show: [15, 20],
  scroll: [15, 25],
  invert: 0.2,
  jump: 0.5,
  leap: [300, 800],
  mouse: [20, 30],
};

/** Points that are asked of a recording at least and held at most. */
const FEW = 2;
const MANY = 200_000;

const within = (dice: Dice, [low, high]: Range): number => low + dice() * (high - low);

/** Draws that are the same for the same seed (Mulberry32, T. Ettinger, public domain). */
export function seeded(seed: number): Dice {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The rules as an address sets them; what cannot be read stays as it is. */
export function rulesOf(query: URLSearchParams): Rules {
  const range = (name: string, usual: Range, most: number): Range => {
    const [, low, high] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(query.get(name) ?? '') ?? [];
    if (low === undefined) return usual;
    const [from, to] = [Number(low), Number(high ?? low)];
    return from >= 1 && from <= to && to <= most ? [from, to] : usual;
  };
  const share = (name: string, usual: number): number => {
    const said = query.get(name) ?? '';
    return /^\d{1,3}$/.test(said) && Number(said) <= 100 ? Number(said) / 100 : usual;
  };
  return {
    show: range('show', RULES.show, 3600),
    scroll: range('scroll', RULES.scroll, 3600),
    invert: share('invert', RULES.invert),
    jump: share('jump', RULES.jump),
    leap: range('leap', RULES.leap, 100_000),
    mouse: range('mouse', RULES.mouse, 3600),
  };
}

/** A recording, if the data is one. */
export function recordingOf(data: unknown): Recording | null {
  if (typeof data !== 'object' || data === null) return null;
  const { format, view, scroll, mouse } = data as Record<string, unknown>;
  const numbers = (list: unknown, length: number): list is number[] =>
    Array.isArray(list) && list.length === length && list.every(Number.isFinite);
  const points = (list: unknown, length: number): list is Point[] =>
    Array.isArray(list) &&
    list.length <= MANY &&
    list.every((point) => numbers(point, length) && point[0]! >= 0) &&
    list.every((point: number[], index) => index === 0 || point[0]! >= list[index - 1]![0]!);
  if (format !== FORMAT || !numbers(view, 2) || !view.every((side) => side > 0)) return null;
  if (!points(scroll, 2) || !points(mouse, 3)) return null;
  return { format, view: [view[0]!, view[1]!], scroll, mouse };
}

/** Where it is at `at` milliseconds: on a straight line between the points beside it. */
export function placeAt(points: readonly Point[], at: number): number[] {
  let [low, high] = [0, points.length - 1];
  const last = points[high];
  if (!last) return [];
  if (at >= last[0]) return last.slice(1);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]![0] <= at) low = middle + 1;
    else high = middle;
  }
  const after = points[low]!;
  const before = points[low - 1];
  if (!before) return after.slice(1);
  const part = (at - before[0]) / (after[0] - before[0]);
  return before.slice(1).map((from, axis) => from + (after[axis + 1]! - from) * part);
}

/**
 * Cuts a recording into segments of a drawn length each, seconds; what is left over at the end
 * and is shorter than the shortest is left out. Each begins at 0 milliseconds.
 */
export function cut(points: readonly Point[], lengths: Range, dice: Dice): Point[][] {
  const segments: Point[][] = [];
  if (points.length < FEW) return segments;
  const end = points[points.length - 1]![0];
  let start = points[0]![0];
  while (end - start >= lengths[0] * 1000) {
    const until = Math.min(end, start + within(dice, lengths) * 1000);
    const moved = points.filter(([at]) => at > start && at < until);
    segments.push(
      [
        [start, ...placeAt(points, start)] as Point,
        ...moved,
        [until, ...placeAt(points, until)] as Point,
      ].map(([at, ...place]) => [at - start, ...place] as const),
    );
    start = until;
  }
  return segments;
}

/** In another order, each as likely (Fisher and Yates; Durstenfeld 1964). */
export function shuffle<T>(list: readonly T[], dice: Dice): T[] {
  const mixed = [...list];
  for (let left = mixed.length - 1; left > 0; left -= 1) {
    const other = Math.floor(dice() * (left + 1));
    [mixed[left], mixed[other]] = [mixed[other]!, mixed[left]!];
  }
  return mixed;
}

/** A piece of scrolling. */
export interface Scrolling {
  points: Point[];
  /** Milliseconds. */
  length: number;
  /** 1, or -1 when it runs the other way. */
  sense: 1 | -1;
  /** Where the page jumps at its beginning, pixels; down, or up when it runs the other way. */
  leap: number;
}

const lengthOf = (points: readonly Point[]): number => points[points.length - 1]?.[0] ?? 0;

/** All segments of scrolling, in the order in which they are played. */
export function scrollings(
  recordings: readonly Recording[],
  rules: Rules,
  dice: Dice,
): Scrolling[] {
  const segments = recordings.flatMap(({ scroll }) => cut(scroll, rules.scroll, dice));
  return shuffle(segments, dice).map((points, index) => {
    // Both are drawn for the first as well, so that what follows does not depend on it.
    const [inverted, leaps] = [dice() < rules.invert, dice() < rules.jump];
    const leap = within(dice, rules.leap);
    return {
      points,
      length: lengthOf(points),
      sense: inverted && index > 0 ? -1 : 1,
      leap: leaps ? leap : 0,
    };
  });
}

/** A piece of the pointer's way, in parts of the window's sides. */
export interface Wandering {
  points: Point[];
  /** Milliseconds. */
  length: number;
}

/** All segments of the pointer, in the order in which they are played. */
export function wanderings(
  recordings: readonly Recording[],
  rules: Rules,
  dice: Dice,
): Wandering[] {
  const segments = recordings.flatMap(({ mouse, view: [width, height] }) =>
    cut(mouse, rules.mouse, dice).map((points) =>
      points.map(([at, x = 0, y = 0]) => [at, x / width, y / height] as const),
    ),
  );
  return shuffle(segments, dice).map((points) => ({ points, length: lengthOf(points) }));
}

/** How long a profile is shown, milliseconds. */
export const showing = (rules: Rules, dice: Dice): number => within(dice, rules.show) * 1000;
