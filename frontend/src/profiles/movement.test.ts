import { describe, expect, it } from 'vitest';

import { Ghost } from './ghost';
import {
  cut,
  FORMAT,
  placeAt,
  recordingOf,
  RULES,
  rulesOf,
  scrollings,
  seeded,
  showing,
  shuffle,
  wanderings,
  type Point,
  type Recording,
} from './movement';

const files = import.meta.glob<unknown>('../../public/movements/*.json', {
  eager: true,
  import: 'default',
});
const shipped = Object.values(files).map(recordingOf) as Recording[];

/** A page that goes down a pixel each 10 ms, and a pointer that goes to the right. */
const steady = (seconds: number): Recording => ({
  format: FORMAT,
  view: [1000, 500],
  scroll: Array.from({ length: seconds * 10 + 1 }, (_, n): Point => [n * 100, n * 10]),
  mouse: Array.from({ length: seconds * 10 + 1 }, (_, n): Point => [n * 100, n, 250]),
});

describe('a recording', () => {
  it('is what ships, and is small', () => {
    expect(shipped.length).toBeGreaterThanOrEqual(3);
    for (const recording of shipped) {
      expect(recording).not.toBeNull();
      expect(cut(recording.scroll, RULES.scroll, seeded(1)).length).toBeGreaterThan(2);
      expect(cut(recording.mouse, RULES.mouse, seeded(1)).length).toBeGreaterThan(2);
      for (const [, x, y] of recording.mouse) {
        expect(x! >= 0 && x! <= recording.view[0] && y! >= 0 && y! <= recording.view[1]).toBe(true);
      }
    }
  });

  it('is nothing else', () => {
    const good = steady(1);
    expect(recordingOf(JSON.parse(JSON.stringify(good)))).toEqual(good);
    for (const bad of [
      null,
      7,
      [],
      {},
      { ...good, format: 'parlour-movement 2' },
      { ...good, view: [0, 500] },
      { ...good, view: [1000] },
      { ...good, scroll: [[0]] },
      { ...good, scroll: [[0, 1, 2]] },
      { ...good, scroll: [[0, null]] },
      {
        ...good,
        mouse: [
          [5, 1, 1],
          [4, 1, 1],
        ],
      },
      { ...good, mouse: [[-1, 1, 1]] },
      { ...good, mouse: 'none' },
    ]) {
      expect(recordingOf(bad)).toBeNull();
    }
  });

  it('goes straight from point to point and stands still beyond them', () => {
    const points: Point[] = [
      [10, 0, 100],
      [20, 10, 200],
      [20, 50, 200],
      [30, 60, 0],
    ];
    expect(placeAt(points, 0)).toEqual([0, 100]);
    expect(placeAt(points, 15)).toEqual([5, 150]);
    expect(placeAt(points, 20)).toEqual([50, 200]);
    expect(placeAt(points, 25)).toEqual([55, 100]);
    expect(placeAt(points, 99)).toEqual([60, 0]);
    expect(placeAt([], 1)).toEqual([]);
  });
});

describe('segments', () => {
  it('are as long as the rule says and lose nothing of the way', () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const segments = cut(steady(300).scroll, RULES.scroll, seeded(seed));
      let way = 0;
      for (const [index, points] of segments.entries()) {
        const length = points[points.length - 1]![0] / 1000;
        const least = index === segments.length - 1 ? 0 : 15;
        expect(length).toBeGreaterThanOrEqual(least);
        expect(length).toBeLessThanOrEqual(25);
        expect(points[0]![0]).toBe(0);
        expect(points[0]![1]).toBeCloseTo(way);
        way = points[points.length - 1]![1]!;
      }
      expect(way).toBeGreaterThan(3000 - 1500);
    }
  });

  it('of a recording that is too short are none', () => {
    expect(cut(steady(14).scroll, RULES.scroll, seeded(1))).toEqual([]);
    expect(cut([], RULES.scroll, seeded(1))).toEqual([]);
  });

  it('run the other way in a fifth of all cases, and the first never does', () => {
    let [inverted, others, leaps, count] = [0, 0, 0, 0];
    const far: number[] = [];
    for (let seed = 0; seed < 400; seed += 1) {
      const played = scrollings([steady(300)], RULES, seeded(seed));
      expect(played[0]!.sense).toBe(1);
      others += played.length - 1;
      inverted += played.filter(({ sense }) => sense === -1).length;
      count += played.length;
      const jumps = played.map(({ leap }) => leap).filter((leap) => leap > 0);
      leaps += jumps.length;
      far.push(...jumps);
    }
    expect(inverted / others).toBeCloseTo(0.2, 1);
    expect(leaps / count).toBeCloseTo(0.5, 1);
    expect(Math.min(...far)).toBeGreaterThanOrEqual(300);
    expect(Math.max(...far)).toBeLessThanOrEqual(800);
    expect(Math.max(...far) - Math.min(...far)).toBeGreaterThan(450);
  });

  it('come in every order alike', () => {
    const firsts = new Map<number, number>();
    for (let seed = 0; seed < 3000; seed += 1) {
      const [first] = shuffle([0, 1, 2], seeded(seed));
      firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
    }
    for (const count of firsts.values()) expect(count / 3000).toBeCloseTo(1 / 3, 1);
    expect(shuffle([1, 2, 3, 4], seeded(9)).sort()).toEqual([1, 2, 3, 4]);
  });

  it('of the pointer last 20 to 30 seconds and stay in the window', () => {
    for (const { points, length } of wanderings(shipped, RULES, seeded(3))) {
      expect(length).toBeLessThanOrEqual(30_000);
      for (const [, x, y] of points) expect(x! >= 0 && x! <= 1 && y! >= 0 && y! <= 1).toBe(true);
    }
  });

  it('are the same for the same seed', () => {
    expect(scrollings(shipped, RULES, seeded(7))).toEqual(scrollings(shipped, RULES, seeded(7)));
    expect(scrollings(shipped, RULES, seeded(7))).not.toEqual(
      scrollings(shipped, RULES, seeded(8)),
    );
  });
});

describe('the settings', () => {
  it('are read from the address', () => {
    const query = 'show=30-40&scroll=5&invert=0&jump=100&leap=10-20&mouse=8-9';
    expect(rulesOf(new URLSearchParams(query))).toEqual({
      show: [30, 40],
      scroll: [5, 5],
      invert: 0,
      jump: 1,
      leap: [10, 20],
      mouse: [8, 9],
    });
  });

  it('stay as they are where they make no sense', () => {
    for (const query of [
      '',
      'show=0',
      'show=9-3',
      'invert=101',
      'jump=-1',
      'leap=x',
      'mouse=1e9',
    ]) {
      expect(rulesOf(new URLSearchParams(query))).toEqual(RULES);
    }
  });

  it('show a profile for 15 to 20 seconds', () => {
    const dice = seeded(5);
    for (let n = 0; n < 500; n += 1) {
      const millis = showing(RULES, dice);
      expect(millis >= 15_000 && millis <= 20_000).toBe(true);
    }
  });
});

describe('a ghost', () => {
  const plain = { ...RULES, invert: 0, jump: 0 };

  it('goes as far as was recorded, however often it is asked', () => {
    for (const step of [7, 16, 50 / 3, 0.1 + 8.2, 1000, 33_333]) {
      const ghost = new Ghost([steady(300)], plain, seeded(1));
      const steps = Math.ceil(200_000 / step);
      let way = 0;
      for (let n = 0; n < steps; n += 1) way += ghost.pass(step).scroll;
      // A pixel each 10 ms.
      expect(way).toBeCloseTo((steps * step) / 10, 3);
    }
  });

  it('never lets the pointer leap', () => {
    const ghost = new Ghost(shipped, RULES, seeded(2));
    let last = ghost.pass(1);
    for (let now = 0; now < 600_000; now += 16) {
      const moved = ghost.pass(16);
      const way = Math.hypot(moved.x - last.x, moved.y - last.y);
      expect(way).toBeLessThan(0.12);
      expect(moved.x >= 0 && moved.x <= 1 && moved.y >= 0 && moved.y <= 1).toBe(true);
      last = moved;
    }
  });

  it('comes to an end of every frame, however odd its length', () => {
    const dice = seeded(11);
    const ghost = new Ghost(shipped, RULES, dice);
    for (let n = 0; n < 20_000; n += 1) {
      // A third has no end in binary either.
      const moved = ghost.pass((dice() * 100) / 3);
      expect(Number.isFinite(moved.scroll + moved.x + moved.y)).toBe(true);
    }
  });

  it('without recordings stands still', () => {
    const ghost = new Ghost([], RULES, seeded(1));
    expect(ghost.pass(1000)).toEqual({ scroll: 0, x: 0.5, y: 0.5 });
  });
});
