/**
 * Makes the recordings that ship in public/movements: `node dev/make-movements.mjs`.
 *
 * Nobody moved here: they are drawn, and always the same. What is drawn:
 * - Each movement is a minimum-jerk one, x(τ) = a + (b − a)(10τ³ − 15τ⁴ + 6τ⁵), τ = t / T
 *   (T. Flash, N. Hogan: The Coordination of Arm Movements, J. Neurosci. 5(7), 1985).
 * - A pointer's movement over a distance D to something W wide takes Fitts' time in Shannon's
 *   form, T = 0.1 s + 0.14 s · log2(D / W + 1) (I. S. MacKenzie, Hum.-Comput. Interact. 7, 1992),
 *   ends a little beside its aim and is corrected by a second one (D. E. Meyer et al., Psychol.
 *   Rev. 95(3), 1988), along a slight bow.
 * - Between movements lie pauses whose lengths are log-normal.
 * - The wheel is turned in strokes of 60 to 320 px, one in eight upwards, and turned back at
 *   the page's end.
 */
import { writeFileSync } from 'node:fs';

const SECONDS = 100;
const STEP = 40; // ms; players draw straight lines between points
const VIEW = [1280, 800];
const PAGE = 5200; // px that can be scrolled

/** Mulberry32 (public domain, T. Ettinger): the same draws everywhere. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Two uniform draws make a normal one (Box and Muller 1958). */
const normal = (draw) => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
const pause = (draw, median, spread) => median * Math.exp(spread * normal(draw));
const jerkless = (part) => part ** 3 * (10 + part * (6 * part - 15));
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Adds a minimum-jerk movement to `points` and gives its end, ms. */
function move(points, start, length, from, to, bow = 0) {
  // Across the way, where there is one: the wheel has a single axis.
  const across = from.length === 2 ? [from[1] - to[1], to[0] - from[0]] : [0];
  for (let t = STEP; t < length + STEP; t += STEP) {
    const part = jerkless(Math.min(1, t / length));
    const side = bow * Math.sin(Math.PI * part);
    const at = from.map((a, axis) => a + (to[axis] - a) * part + across[axis] * side);
    points.push([Math.round(start + Math.min(t, length)), ...at.map(Math.round)]);
  }
  return start + length;
}

function mouse(draw) {
  let at = VIEW.map((side) => side * (0.3 + 0.4 * draw()));
  let now = 0;
  const points = [[0, ...at.map(Math.round)]];
  while (now < SECONDS * 1000) {
    const aim = [VIEW[0] * (0.12 + 0.72 * draw()), VIEW[1] * (0.1 + 0.8 * draw())];
    const distance = Math.hypot(aim[0] - at[0], aim[1] - at[1]);
    const near = aim.map((place, axis) => place + (place - at[axis]) * 0.05 * normal(draw));
    const miss = Math.hypot(aim[0] - near[0], aim[1] - near[1]);
    const time = (length, width) => 100 + 140 * Math.log2(length / width + 1);
    // A hand that wanders is in no hurry.
    const ease = 1.6 + 1.4 * draw();
    now = move(points, now, ease * time(distance, 36), at, near, 0.06 * normal(draw));
    if (miss > 6) now = move(points, now + 60 + 60 * draw(), time(miss, 12), near, aim);
    at = miss > 6 ? aim : near;
    now += clamp(pause(draw, 900, 0.8), 150, 6000);
    points.push([Math.round(now), ...at.map(Math.round)]);
  }
  return points;
}

function scroll(draw) {
  let at = 0;
  let now = clamp(pause(draw, 1200, 0.4), 500, 3000);
  const points = [
    [0, 0],
    [Math.round(now), 0],
  ];
  while (now < SECONDS * 1000) {
    const strokes = 1 + Math.floor(2.2 * draw() ** 2);
    const up = at > PAGE - 400 || (at > 300 && draw() < 1 / 8);
    for (let stroke = 0; stroke < strokes; stroke += 1) {
      const length = 60 + 260 * draw();
      const to = clamp(at + (up ? -length : length), 0, PAGE);
      now = move(points, now, 260 + 0.7 * length, [at], [to]);
      at = to;
      now += 60 + 160 * draw();
    }
    now += clamp(pause(draw, 2200, 0.6), 400, 7000);
    points.push([Math.round(now), Math.round(at)]);
  }
  return points;
}

['first', 'second', 'third'].forEach((name, index) => {
  const draw = dice(1985 + index);
  const recording = {
    format: 'parlour-movement 1',
    view: VIEW,
    scroll: scroll(draw),
    mouse: mouse(draw),
  };
  writeFileSync(
    new URL(`../public/movements/${name}.json`, import.meta.url),
    `${JSON.stringify(recording)}\n`,
  );
});
