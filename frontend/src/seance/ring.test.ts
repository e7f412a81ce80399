import { describe, expect, it } from 'vitest';

import { FADE, MOST, PREROLL, Ring } from './ring';

const BLOCK = 128;
const loud = (length: number) => new Float32Array(length).fill(1);

function read(ring: Ring, blocks: number): number[] {
  const all: number[] = [];
  for (let block = 0; block < blocks; block += 1) {
    const out = new Float32Array(BLOCK);
    ring.read(out);
    all.push(...out);
  }
  return all;
}

function steepest(heard: number[]): number {
  let most = 0;
  let before = 0;
  for (const value of heard) {
    most = Math.max(most, Math.abs(value - before));
    before = value;
  }
  return most;
}

/** Numbers as a die would throw them, the same each time. */
function* dice(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

describe('the way to the loudspeaker', () => {
  it('waits for a little more than a block, so that it does not run dry at once', () => {
    const ring = new Ring();
    ring.push(1, loud(PREROLL - 1));
    expect(read(ring, 4).every((value) => value === 0)).toBe(true);
    ring.push(1, loud(1));
    expect(Math.max(...read(ring, 4))).toBeGreaterThan(0.9);
  });

  it('plays a short line whole, when no more will come', () => {
    const ring = new Ring();
    ring.push(1, loud(10));
    ring.end();
    read(ring, 1);
    expect(ring.progress).toEqual({ line: 1, played: 10 });
    expect(ring.waiting).toBe(0);
  });

  it('never clicks, whatever comes when and whoever silences it', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const ring = new Ring();
      const throws = dice(seed);
      const heard: number[] = [];
      for (let step = 0; step < 300; step += 1) {
        const what = throws.next().value;
        if (what < 0.25) ring.push(1, loud(Math.floor(throws.next().value * 4000)));
        else if (what < 0.3) ring.flush();
        else if (what < 0.35) ring.end();
        else heard.push(...read(ring, 1 + Math.floor(throws.next().value * 4)));
      }
      expect(steepest(heard)).toBeLessThanOrEqual(1 / FADE + 1e-6);
    }
  });

  it('loses no sample and plays none twice', () => {
    const ring = new Ring();
    const sent = Float32Array.from({ length: 5000 }, (_, at) => at + 1);
    ring.push(1, sent.slice(0, 3000));
    const heard = read(ring, 4);
    ring.push(1, sent.slice(3000));
    ring.end();
    heard.push(...read(ring, 40));
    const middle = heard.slice(FADE, 5000 - FADE);
    expect(middle).toEqual([...sent.slice(FADE, 5000 - FADE)]);
  });

  it('is silent within a fade of being silenced', () => {
    const ring = new Ring();
    ring.push(1, loud(20_000));
    read(ring, 20);
    ring.flush();
    const after = read(ring, 4);
    expect(after.slice(FADE + 1).every((value) => value === 0)).toBe(true);
    ring.push(2, loud(PREROLL));
    expect(Math.max(...read(ring, 4))).toBeGreaterThan(0.9);
  });

  it('knows how much of which line was heard', () => {
    const ring = new Ring();
    ring.push(1, loud(2000));
    ring.push(2, loud(2000));
    expect(ring.progress).toBeNull();
    read(ring, 10);
    expect(ring.progress).toEqual({ line: 1, played: 1280 });
    read(ring, 10);
    expect(ring.progress).toEqual({ line: 2, played: 560 });
  });

  it('holds so much and no more', () => {
    const ring = new Ring();
    for (let minute = 0; minute < 5; minute += 1) ring.push(1, new Float32Array(60 * 48_000));
    expect(ring.waiting).toBe(MOST);
  });
});
