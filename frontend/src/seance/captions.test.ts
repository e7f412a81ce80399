import { describe, expect, it } from 'vitest';

import { begun, heard, isHeard, NONE, passesClause, sounding, withClause } from './captions';
import { Resampler } from './resample';

const first = {
  clause: 0,
  from: 0,
  samples: 100,
  rate: 24_000,
  words: [
    { text: 'I', from: 0, to: 20 },
    { text: 'was,', from: 30, to: 90 },
  ],
};
const second = {
  clause: 1,
  from: 100,
  samples: 50,
  rate: 24_000,
  words: [{ text: 'once.', from: 100, to: 140 }],
};

describe('captions', () => {
  const line = withClause(withClause(NONE, first), second);

  it('take each clause once and in order', () => {
    expect(line.words.map((word) => word.text)).toEqual(['I', 'was,', 'once.']);
    expect(withClause(line, second)).toBe(line);
    expect(withClause(NONE, second)).toBe(NONE);
    expect(line.samples).toBe(150);
  });

  it('begin anew with the first clause, when a line is voiced again', () => {
    const again = withClause(line, { ...second, clause: 0, from: 0 });
    expect(again.words.map((word) => word.text)).toEqual(['once.']);
    expect(again.clauses).toEqual([1]);
  });

  it('show a word when it begins, and count it when it ends', () => {
    const at = (played: number) => [
      begun(line, played),
      sounding(line, played),
      heard(line, played),
    ];
    expect(at(0)).toEqual([0, 0, 0]);
    expect(at(1)).toEqual([1, 0, 0]);
    expect(at(25)).toEqual([1, null, 1]);
    expect(at(88)).toEqual([2, 1, 1]);
    expect(at(150)).toEqual([3, null, 3]);
  });

  it('count a line to its last word, whatever the rate of the loudspeaker', () => {
    for (let samples = 5000; samples < 5100; samples += 1) {
      const word = { text: 'gone.', from: 0, to: samples };
      const whole = { ...NONE, words: [word], samples, rate: 24_000 };
      for (const rate of [44_100, 48_000, 96_000]) {
        const resampler = new Resampler(24_000, rate);
        const played = resampler.push(new Float32Array(samples)).length + resampler.end().length;
        expect(heard(whole, (played * 24_000) / rate)).toBe(1);
      }
    }
  });

  it('know where a clause ends and when all of it was heard', () => {
    expect(passesClause(line, 1, 2)).toBe(true);
    expect(passesClause(line, 0, 1)).toBe(false);
    expect(isHeard(line, 3)).toBe(false);
    expect(isHeard({ ...line, over: true }, 3)).toBe(true);
    expect(isHeard({ ...line, over: true }, 2)).toBe(false);
  });
});
