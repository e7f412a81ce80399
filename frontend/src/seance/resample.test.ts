import { describe, expect, it } from 'vitest';

import { Resampler } from './resample';

const tone = (hertz: number, rate: number, seconds: number) =>
  Float32Array.from({ length: rate * seconds }, (_, at) =>
    Math.sin((2 * Math.PI * hertz * at) / rate),
  );

function resampled(samples: Float32Array, from: number, to: number, piece = samples.length) {
  const resampler = new Resampler(from, to);
  const out: number[] = [];
  for (let at = 0; at < samples.length; at += piece) {
    out.push(...resampler.push(samples.slice(at, at + piece)));
  }
  out.push(...resampler.end());
  return Float32Array.from(out);
}

/** Root mean square, without the ends. */
function loudness(samples: Float32Array): number {
  const middle = samples.slice(samples.length / 5, (samples.length * 4) / 5);
  return Math.sqrt(middle.reduce((sum, value) => sum + value * value, 0) / middle.length);
}

describe.each([
  [48_000, 16_000],
  [44_100, 16_000],
  [16_000, 16_000],
  [24_000, 48_000],
  [22_050, 44_100],
])('from %i to %i', (from, to) => {
  it('a tone keeps its pitch and its loudness', () => {
    const out = resampled(tone(1000, from, 0.5), from, to);
    const expected = tone(1000, to, 0.5);
    expect(out.length).toBe(expected.length);
    const middle = [...out.keys()].slice(out.length / 5, (out.length * 4) / 5);
    const worst = Math.max(...middle.map((at) => Math.abs(out[at]! - expected[at]!)));
    expect(worst).toBeLessThan(0.01);
  });

  it('the pieces do not show', () => {
    const samples = tone(440, from, 0.2);
    expect(resampled(samples, from, to, 128)).toEqual(resampled(samples, from, to));
  });

  it('as much comes out as went in', () => {
    const out = resampled(new Float32Array(from / 4), from, to, 1000);
    expect(Math.abs(out.length - to / 4)).toBeLessThanOrEqual(1);
  });
});

describe('from a higher rate', () => {
  it('what the lower one cannot hold is gone', () => {
    expect(loudness(resampled(tone(10_000, 48_000, 0.3), 48_000, 16_000))).toBeLessThan(0.005);
  });
});
