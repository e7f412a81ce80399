/** Plays what the spirit says, and tells how far it was heard. */
import { Ring, type Progress } from './ring';

export type ToVoice =
  { say: 'samples'; line: number; samples: Float32Array } | { say: 'end' } | { say: 'flush' };

/** Blocks between two reports: 20 ms at 48 kHz. */
const REPORT = 8;

class Voice extends AudioWorkletProcessor {
  #ring = new Ring();
  #blocks = 0;
  #told: Progress | null = null;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<ToVoice>) => {
      if (data.say === 'samples') this.#ring.push(data.line, data.samples);
      else if (data.say === 'end') this.#ring.end();
      else this.#ring.flush();
    };
  }

  process(_: Float32Array[][], outputs: Float32Array[][]): boolean {
    const [first, ...others] = outputs[0] ?? [];
    if (first) {
      this.#ring.read(first);
      for (const other of others) other.set(first);
    }
    this.#blocks += 1;
    const { progress } = this.#ring;
    const news = progress?.line !== this.#told?.line || progress?.played !== this.#told?.played;
    if (news && (this.#blocks % REPORT === 0 || this.#ring.waiting === 0)) {
      this.#told = progress;
      this.port.postMessage(progress);
    }
    return true;
  }
}

registerProcessor('voice', Voice);
