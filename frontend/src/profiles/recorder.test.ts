import { describe, expect, it } from 'vitest';

import { placeAt, recordingOf } from './movement';
import { isLong, Recorder } from './recorder';

describe('a recorder', () => {
  it('saves what the player reads', () => {
    const recorder = new Recorder(5000, [1280, 800]);
    for (let n = 0; n < 2000; n += 1) {
      recorder.move(5000 + n * 20.3, 600.4 + n / 10, 400);
      recorder.scroll(5000 + n * 20.3, n * 3);
    }
    const recording = recorder.end(5000 + 41_000);
    const read = recordingOf(JSON.parse(JSON.stringify(recording)));
    expect(read).toEqual(recording);
    expect(recording.mouse[0]).toEqual([0, 600, 400]);
    expect(recording.mouse.at(-1)![0]).toBe(41_000);
    expect(isLong(recording)).toBe(true);
  });

  it('keeps no more than a screen shows, and never goes back in time', () => {
    const recorder = new Recorder(0, [100, 100]);
    for (let now = 0; now < 1000; now += 1) recorder.move(now, now % 100, 0);
    recorder.move(500, 1, 1);
    expect(recorder.count.mouse).toBeLessThan(1000 / 16 + 2);
    expect(recordingOf(recorder.end(1000))).not.toBeNull();
  });

  it('stands still while nobody moves', () => {
    const recorder = new Recorder(0, [100, 100]);
    recorder.move(0, 10, 10);
    recorder.move(5000, 50, 50);
    const { mouse } = recorder.end(6000);
    expect(placeAt(mouse, 4900)).toEqual([10, 10]);
    expect(placeAt(mouse, 5000)).toEqual([50, 50]);
    expect(placeAt(mouse, 6000)).toEqual([50, 50]);
  });

  it('that saw nothing is too short, and still a recording', () => {
    const nothing = new Recorder(0, [100, 100]).end(60_000);
    expect(isLong(nothing)).toBe(false);
    expect(recordingOf(nothing)).toEqual(nothing);
  });
});
