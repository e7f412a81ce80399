import { readFileSync } from 'node:fs';

import { InferenceSession, Tensor } from 'onnxruntime-web';
import { afterEach, expect, it, vi } from 'vitest';

import { graph, weights } from './silero.ts';
import { Activity } from '../src/seance/activity.ts';
import { FRAME, Silero } from '../src/seance/silero.ts';

const RATE = 16_000;
/** As the network wants to be called: github.com/snakers4/silero-vad, `utils_vad.py`. */
const CONTEXT = 64;
const STATE = [2, 1, 128];

/** Half a second of hiss, then a hum with the formants of an open vowel that swells and fades. */
function voice(seconds: number): Float32Array {
  const formants = [730, 1090, 2440].map((pitch) => {
    const radius = Math.exp((-Math.PI * 90) / RATE);
    return { one: 2 * radius * Math.cos((2 * Math.PI * pitch) / RATE), two: -radius * radius };
  });
  const past = formants.map(() => [0, 0] as [number, number]);
  let noise = 1;
  let phase = 0;
  return Float32Array.from({ length: seconds * RATE }, (_, index) => {
    noise = (noise * 16_807) % 2_147_483_647;
    const hiss = (noise / 2_147_483_647 - 0.5) * 0.002;
    const time = index / RATE;
    phase += (120 + 15 * Math.sin(2 * Math.PI * 2.5 * time)) / RATE;
    const swell = time < 0.5 ? 0 : Math.max(0, Math.sin(2 * Math.PI * 1.7 * time));
    let sample = 0;
    if (phase >= 1) {
      phase -= 1;
      sample = swell;
    }
    formants.forEach(({ one, two }, formant) => {
      const [last, before] = past[formant]!;
      sample += one * last + two * before;
      past[formant] = [sample, last];
    });
    return hiss + sample * 0.002;
  });
}

// Both networks take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });
afterEach(() => vi.unstubAllGlobals());

it('gives the probabilities that ONNX Runtime gives', async () => {
  const session = await InferenceSession.create(readFileSync(graph()));
  const silero = new Silero(weights().buffer);
  const sound = voice(4);
  let state = new Tensor('float32', new Float32Array(256), STATE);
  const rate = new Tensor('int64', BigInt64Array.of(BigInt(RATE)), []);
  const theirs: number[] = [];
  const ours: number[] = [];
  for (let at = 0; at + FRAME <= sound.length; at += FRAME) {
    const heard = new Float32Array(CONTEXT + FRAME);
    heard.set(sound.subarray(Math.max(0, at - CONTEXT), at), at === 0 ? CONTEXT : 0);
    heard.set(sound.subarray(at, at + FRAME), CONTEXT);
    const input = new Tensor('float32', heard, [1, heard.length]);
    const outputs = await session.run({ input, state, sr: rate });
    state = outputs['stateN'] as typeof state;
    theirs.push(Number(outputs['output']?.data[0]));
    ours.push(silero.hear(sound.slice(at, at + FRAME)));
  }
  // Both silence and a voice were in it.
  expect(Math.min(...theirs)).toBeLessThan(0.1);
  expect(Math.max(...theirs)).toBeGreaterThan(0.8);
  const differences = ours.map((probability, frame) => Math.abs(probability - theirs[frame]!));
  expect(Math.max(...differences)).toBeLessThan(1e-4);

  // It forgets wholly.
  silero.reset();
  const again = [0, 1, 2].map((frame) =>
    silero.hear(sound.slice(frame * FRAME, frame * FRAME + FRAME)),
  );
  expect(again).toEqual(ours.slice(0, 3));
});

it('hears the same in pieces of any size, and each question anew', async () => {
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(weights())));
  const activity = await Activity.load();
  const sound = new Float32Array(5 * RATE);
  sound.set(voice(2));
  const told = [FRAME, 300, 1, sound.length].map((piece) => {
    activity.begin(900);
    expect(activity.spoke).toBe(false);
    const changes: string[] = [];
    for (let at = 0; at < sound.length; at += piece) {
      changes.push(...activity.hear(sound.subarray(at, at + piece)));
    }
    expect(activity.spoke).toBe(true);
    return changes;
  });
  expect(told[0]?.[0]).toBe('began');
  expect(told[0]?.at(-1)).toBe('ended');
  for (const changes of told) expect(changes).toEqual(told[0]);
});

it('says when its weights cannot be had', async () => {
  vi.stubGlobal('fetch', () => Promise.resolve(new Response('', { status: 404 })));
  await expect(Activity.load()).rejects.toThrow('404');
});

it('takes no other bytes for its weights', () => {
  expect(() => new Silero(weights().buffer.slice(0, -4))).toThrow();
  expect(() => new Silero(new ArrayBuffer(weights().length + 4))).toThrow();
});
