/** Smoke as a chart: geometry only. */
import type { Belief } from './room';

export interface Point {
  x: number;
  y: number;
}

/** Left is A, right is B: where the smoke of one belief hangs, from -1 to 1. */
export function drift(belief: Belief): number {
  return (50 - belief.a) / 50;
}

/** A smooth line through the points (Catmull-Rom, as cubic Béziers). */
export function curve(points: readonly Point[]): string {
  const [first] = points;
  if (!first) return '';
  const at = (index: number) => points[Math.min(Math.max(index, 0), points.length - 1)] ?? first;
  let path = `M${round(first.x)} ${round(first.y)}`;
  for (let i = 0; i < points.length - 1; i += 1) {
    const [before, from, to, after] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
    path +=
      ` C${round(from.x + (to.x - before.x) / 6)} ${round(from.y + (to.y - before.y) / 6)}` +
      ` ${round(to.x - (after.x - from.x) / 6)} ${round(to.y - (after.y - from.y) / 6)}` +
      ` ${round(to.x)} ${round(to.y)}`;
  }
  return path;
}

const round = (value: number) => Math.round(value * 10) / 10;
