/** The microphone: while the key is pressed, frames of 16 kHz go out. */
import { encode, Framer, MICROPHONE_RATE, toPcm } from './frames';
import microphoneUrl from './microphone.worklet.ts?worker&url';
import { Resampler } from './resample';

interface Utterance {
  framer: Framer;
  resampler: Resampler;
}

export class Microphone {
  /** How loud it is, 0 to 1, while it listens. */
  onlevel: (level: number) => void = () => {};
  /** What it hears of an utterance, at `MICROPHONE_RATE`, as it is sent. */
  onsamples: (samples: Float32Array) => void = () => {};

  readonly #context: AudioContext;
  readonly #stream: MediaStream;
  readonly #source: MediaStreamAudioSourceNode;
  readonly #send: (bytes: Uint8Array<ArrayBuffer>) => void;
  #utterance: Utterance | null = null;

  private constructor(
    context: AudioContext,
    stream: MediaStream,
    send: (bytes: Uint8Array<ArrayBuffer>) => void,
  ) {
    this.#context = context;
    this.#stream = stream;
    this.#send = send;
    this.#source = context.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(context, 'microphone', { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }: MessageEvent<Float32Array>) => this.#heard(data);
    this.#source.connect(node);
  }

  /** Asks for the microphone. Throws what the browser throws when it is not given. */
  static async open(
    context: AudioContext,
    send: (bytes: Uint8Array<ArrayBuffer>) => void,
  ): Promise<Microphone> {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true },
    });
    await context.audioWorklet.addModule(microphoneUrl);
    return new Microphone(context, stream, send);
  }

  begin(utterance: number): void {
    this.#utterance = {
      framer: new Framer(utterance),
      resampler: new Resampler(this.#context.sampleRate, MICROPHONE_RATE),
    };
  }

  /** Sends what is left. */
  end(): void {
    const utterance = this.#utterance;
    this.#utterance = null;
    if (!utterance) return;
    const rest = utterance.resampler.end();
    const frames = utterance.framer.push(toPcm(rest));
    for (const frame of [...frames, ...utterance.framer.end()]) this.#send(encode(frame));
    this.onsamples(rest);
    this.onlevel(0);
  }

  close(): void {
    this.#utterance = null;
    this.#source.disconnect();
    for (const track of this.#stream.getTracks()) track.stop();
  }

  #heard(piece: Float32Array): void {
    if (!this.#utterance) return;
    const { framer, resampler } = this.#utterance;
    const samples = resampler.push(piece);
    for (const frame of framer.push(toPcm(samples))) this.#send(encode(frame));
    const power = piece.reduce((sum, value) => sum + value * value, 0) / piece.length;
    this.onlevel(Math.min(1, Math.sqrt(power) * 5));
    this.onsamples(samples);
  }
}
