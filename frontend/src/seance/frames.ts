/**
 * Sound between the page and the house: binary frames beside the text frames of the socket.
 * A byte for the kind, the number of utterance or line and the index of the first sample
 * (32 bits each, big-endian), then mono samples, signed 16 bit, little-endian: as
 * src/wire/sound.rs has it.
 */

export const MICROPHONE = 1;
export const VOICE = 2;
export const HEADER = 9;
export const MICROPHONE_RATE = 16_000;
/** Samples of a frame of the microphone: 40 ms. */
export const MICROPHONE_FRAME = 640;

export interface SoundFrame {
  kind: typeof MICROPHONE | typeof VOICE;
  number: number;
  /** Index of the first sample, from the beginning of utterance or line. */
  from: number;
  samples: Int16Array;
}

export function encode({ kind, number, from, samples }: SoundFrame): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER + 2 * samples.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, number);
  view.setUint32(5, from);
  samples.forEach((sample, index) => view.setInt16(HEADER + 2 * index, sample, true));
  return bytes;
}

/** The frame; null where the bytes are none. */
export function decode(bytes: ArrayBuffer): SoundFrame | null {
  if (bytes.byteLength < HEADER || (bytes.byteLength - HEADER) % 2 !== 0) return null;
  const view = new DataView(bytes);
  const kind = view.getUint8(0);
  if (kind !== MICROPHONE && kind !== VOICE) return null;
  const samples = new Int16Array((bytes.byteLength - HEADER) / 2);
  for (let index = 0; index < samples.length; index += 1) {
    samples[index] = view.getInt16(HEADER + 2 * index, true);
  }
  return { kind, number: view.getUint32(1), from: view.getUint32(5), samples };
}

/** -1 to 1 as 16 bits; what is louder is clipped. */
export function toPcm(sound: Float32Array): Int16Array {
  return Int16Array.from(sound, (value) => Math.round(Math.max(-1, Math.min(1, value)) * 32_767));
}

export function fromPcm(samples: Int16Array): Float32Array {
  return Float32Array.from(samples, (sample) => sample / 32_768);
}

/** Cuts a stream of samples into frames of one length; the last one may be shorter. */
export class Framer {
  #held: number[] = [];
  #from = 0;

  constructor(
    private readonly number: number,
    private readonly length = MICROPHONE_FRAME,
  ) {}

  push(samples: Int16Array): SoundFrame[] {
    this.#held.push(...samples);
    const frames: SoundFrame[] = [];
    while (this.#held.length >= this.length) frames.push(this.#frame(this.length));
    return frames;
  }

  /** What is left. */
  end(): SoundFrame[] {
    return this.#held.length > 0 ? [this.#frame(this.#held.length)] : [];
  }

  #frame(length: number): SoundFrame {
    const samples = Int16Array.from(this.#held.splice(0, length));
    const frame = { kind: MICROPHONE, number: this.number, from: this.#from, samples } as const;
    this.#from += length;
    return frame;
  }
}
