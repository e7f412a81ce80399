import { describe, expect, it } from 'vitest';

import { frames, Speech } from './speech';

const VOICE = 0.95;
const UNSURE = 0.42;
const SILENCE = 0.02;

const run = (probability: number, count: number) => Array<number>(count).fill(probability);

/** The changes, and at which frame they came. */
function told(speech: Speech, ...probabilities: number[]): string[] {
  return probabilities.flatMap((probability, at) => {
    const change = speech.next(probability);
    return change ? [`${change} ${at}`] : [];
  });
}

describe('speech', () => {
  it('begins with three frames in a row and ends after the silence that was asked for', () => {
    const speech = new Speech(28);
    expect(told(speech, ...run(SILENCE, 50))).toEqual([]);
    expect(told(speech, ...run(VOICE, 20))).toEqual(['began 2']);
    expect(told(speech, ...run(SILENCE, 100))).toEqual(['paused 7', 'ended 27']);
    expect(speech.spoke).toBe(true);
  });

  it('is not what clicks', () => {
    const speech = new Speech(28);
    const clicks = [...Array(30)].flatMap(() => [VOICE, VOICE, SILENCE]);
    expect(told(speech, ...clicks, ...run(SILENCE, 100))).toEqual([]);
    expect(speech.spoke).toBe(false);
  });

  it('goes on after a breath', () => {
    const speech = new Speech(28);
    const breath = run(SILENCE, 27);
    const changes = told(speech, ...run(VOICE, 5), ...breath, ...run(VOICE, 5), ...breath);
    expect(changes).toEqual(['began 2', 'paused 12', 'began 34', 'paused 44']);
    expect(told(speech, SILENCE)).toEqual(['ended 0']);
  });

  it('a click in a silence does not make it longer', () => {
    const speech = new Speech(28);
    told(speech, ...run(VOICE, 5), ...run(SILENCE, 20));
    expect(told(speech, VOICE, ...run(SILENCE, 8))).toEqual(['ended 8']);
  });

  it('between the thresholds nothing changes', () => {
    const speech = new Speech(28);
    expect(told(speech, ...run(UNSURE, 100))).toEqual([]);
    told(speech, ...run(VOICE, 5));
    expect(told(speech, ...run(UNSURE, 100))).toEqual([]);
  });

  it('never ends where only the key ends it', () => {
    const speech = new Speech(null);
    expect(told(speech, ...run(VOICE, 5), ...run(SILENCE, 1000))).toEqual(['began 2', 'paused 12']);
  });

  it('counts time in frames of 32 ms', () => {
    expect([600, 900, 1500].map(frames)).toEqual([19, 29, 47]);
  });
});
