/** Records where a pointer goes and how far a page is scrolled. */
import { FORMAT, RULES, type Point, type Recording } from './movement';

/** Milliseconds between two points at least: a screen shows no more. */
const APART = 16;

/** Points of each kind at most: an hour of moving without a rest. */
const MOST = 200_000;

export class Recorder {
  private readonly scrolled: Point[] = [];
  private readonly moved: Point[] = [];

  /** Begins at `start` milliseconds of any clock, in a window of that size. */
  constructor(
    private readonly start: number,
    private readonly view: readonly [number, number],
  ) {}

  /** The pointer is there. */
  move(now: number, x: number, y: number): void {
    add(this.moved, [now - this.start, x, y]);
  }

  /** The page is scrolled so far. */
  scroll(now: number, offset: number): void {
    add(this.scrolled, [now - this.start, offset]);
  }

  /** How many places of the pointer and of the page there are. */
  get count(): { mouse: number; scroll: number } {
    return { mouse: this.moved.length, scroll: this.scrolled.length };
  }

  /** Ends at `now`. */
  end(now: number): Recording {
    const lasting = (points: Point[]): Point[] => {
      const last = points[points.length - 1];
      if (!last || last[0] >= now - this.start) return [...points];
      const [, ...place] = last;
      return [...points, [Math.round(now - this.start), ...place]];
    };
    return {
      format: FORMAT,
      view: this.view,
      scroll: lasting(this.scrolled),
      mouse: lasting(this.moved),
    };
  }
}

function add(points: Point[], [at, ...place]: Point): void {
  const last = points[points.length - 1];
  const late = Math.max(0, Math.round(at));
  if (points.length >= MOST || (last && late - last[0] < APART)) return;
  const whole = place.map(Math.round);
  // After a rest the movement begins now, and not when the last one ended.
  if (last && late - last[0] > 4 * APART) points.push([late - APART, ...last.slice(1)]);
  points.push([late, ...whole]);
}

/** Whether a segment can be cut from it. */
export function isLong({ scroll, mouse }: Recording): boolean {
  const lasts = (points: readonly Point[], [least]: readonly [number, number]) =>
    (points[points.length - 1]?.[0] ?? 0) - (points[0]?.[0] ?? 0) >= least * 1000;
  return lasts(scroll, RULES.scroll) || lasts(mouse, RULES.mouse);
}
