import { describe, expect, it } from 'vitest';

import { decode, encode, Framer, fromPcm, MICROPHONE, toPcm, VOICE } from './frames';

const buffer = (bytes: Uint8Array): ArrayBuffer => bytes.slice().buffer;

describe('frames of sound', () => {
  it('are the bytes that the server knows', () => {
    const samples = Int16Array.of(1, -2);
    const bytes = encode({ kind: MICROPHONE, number: 0x01020304, from: 0x05060708, samples });
    expect([...bytes]).toEqual([1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0xfe, 0xff]);
  });

  it('are read as they were written', () => {
    const frame = {
      kind: VOICE,
      number: 4_294_967_295,
      from: 7,
      samples: Int16Array.of(-32_768, 0, 32_767),
    } as const;
    expect(decode(buffer(encode(frame)))).toEqual(frame);
  });

  it('are nothing else', () => {
    for (const bytes of [[], [2, 0, 0, 0], [9, 0, 0, 0, 0, 0, 0, 0, 0], new Array(10).fill(1)]) {
      expect(decode(Uint8Array.from(bytes as number[]).buffer)).toBeNull();
    }
  });

  it('lose nothing when a stream is cut into them, and follow each other without a gap', () => {
    const framer = new Framer(3, 4);
    const frames = [[1, 2, 3], [4, 5, 6, 7, 8, 9], []].flatMap((part) =>
      framer.push(Int16Array.from(part)),
    );
    frames.push(...framer.end());
    expect(frames.map(({ from, samples }) => [from, ...samples])).toEqual([
      [0, 1, 2, 3, 4],
      [4, 5, 6, 7, 8],
      [8, 9],
    ]);
    expect(framer.end()).toEqual([]);
  });

  it('clip what is too loud', () => {
    expect([...toPcm(Float32Array.of(2, -2, 0))]).toEqual([32_767, -32_767, 0]);
    expect(fromPcm(Int16Array.of(-32_768))[0]).toBe(-1);
  });
});
