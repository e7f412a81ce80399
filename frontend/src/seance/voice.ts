/** The loudspeaker: PCM frames in, sound out, and how far each line was played. */
import { chain, type Chain, type Effect } from './effects';
import { fromPcm, type SoundFrame } from './frames';
import { Resampler } from './resample';
import type { Progress } from './ring';
import voiceUrl from './voice.worklet.ts?worker&url';
import type { ToVoice } from './voice.worklet';

/** Longest hole in a line that is filled with silence, seconds; behind a longer one it goes on. */
const LONGEST_HOLE = 2;

interface Incoming {
  line: number;
  rate: number;
  resampler: Resampler;
  /** Index of the next sample, at the line's own rate. */
  next: number;
}

export class Voice {
  /** A line was played up to this sample, at its own rate. */
  onprogress: (line: number, played: number) => void = () => {};

  readonly #context: AudioContext;
  readonly #node: AudioWorkletNode;
  #chain: Chain;
  #incoming: Incoming | null = null;
  /** Rates of the lines that are on their way, and the sample at which each began to come. */
  #begun = new Map<number, { rate: number; from: number }>();
  /** Lines that sound has come of since all was quiet. */
  #came = new Set<number>();
  /** Lines up to this one are not played any more. */
  #silencedTo = 0;

  private constructor(context: AudioContext, effect: Effect) {
    this.#context = context;
    this.#node = new AudioWorkletNode(context, 'voice', {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.#node.port.onmessage = ({ data }: MessageEvent<Progress | null>) => {
      if (!data) return;
      const { rate, from } = this.#begun.get(data.line) ?? { rate: context.sampleRate, from: 0 };
      this.onprogress(data.line, from + (data.played * rate) / context.sampleRate);
    };
    this.#chain = this.#wired(effect);
  }

  static async open(context: AudioContext, effect: Effect): Promise<Voice> {
    await context.audioWorklet.addModule(voiceUrl);
    return new Voice(context, effect);
  }

  set effect(effect: Effect) {
    this.#chain.stop();
    this.#node.disconnect();
    this.#chain = this.#wired(effect);
  }

  /** Takes a frame of a line whose captions said this rate. */
  play({ number: line, from, samples }: SoundFrame, rate: number): void {
    if (line <= this.#silencedTo || rate <= 0) return;
    if (this.#incoming?.line !== line) {
      this.#drain();
      const resampler = new Resampler(rate, this.#context.sampleRate);
      this.#incoming = { line, rate, resampler, next: from };
      this.#begun.set(line, { rate, from });
      this.#came.add(line);
      for (const known of this.#begun.keys()) if (known < line - 8) this.#begun.delete(known);
      for (const known of this.#came) if (known < line - 8) this.#came.delete(known);
    }
    const incoming = this.#incoming;
    const hole = from - incoming.next;
    // What came before is known; what was left out is heard as silence.
    if (hole < 0) return;
    if (hole > LONGEST_HOLE * rate) {
      // What came before it was played long ago.
      this.#say({ say: 'flush' });
      incoming.resampler = new Resampler(rate, this.#context.sampleRate);
      this.#begun.set(line, { rate, from });
    } else if (hole > 0) {
      this.#push(line, incoming.resampler.push(new Float32Array(hole)));
    }
    incoming.next = from + samples.length;
    this.#push(line, incoming.resampler.push(fromPcm(samples)));
  }

  /** The line is whole. */
  over(line: number): void {
    if (this.#incoming?.line !== line) return;
    this.#drain();
    this.#say({ say: 'end' });
  }

  /** Silences at once, and for good what belongs to lines up to this one. */
  silence(line: number): void {
    this.#silencedTo = Math.max(this.#silencedTo, line);
    this.#incoming = null;
    this.#say({ say: 'flush' });
  }

  /** A line is voiced anew: what came of it, and of those after it, counts no more. */
  restart(line: number): void {
    if (!this.#came.has(line)) return;
    this.#came.clear();
    this.#incoming = null;
    this.#say({ say: 'flush' });
  }

  close(): void {
    this.#chain.stop();
    this.#node.disconnect();
  }

  #drain(): void {
    if (!this.#incoming) return;
    this.#push(this.#incoming.line, this.#incoming.resampler.end());
    this.#incoming = null;
  }

  #push(line: number, samples: Float32Array): void {
    if (samples.length > 0) this.#say({ say: 'samples', line, samples });
  }

  #say(message: ToVoice): void {
    this.#node.port.postMessage(message);
  }

  #wired(effect: Effect): Chain {
    const made = chain(this.#context, effect);
    this.#node.connect(made.input);
    made.output.connect(this.#context.destination);
    return made;
  }
}
