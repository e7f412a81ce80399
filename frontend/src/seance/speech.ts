/**
 * When somebody begins to speak, pauses, and has asked: pure rules over the probabilities of
 * frames, as src/worker/speech/ear/vad.rs has them. No clock: a frame is 32 ms.
 *
 * Laws (see speech.test.ts): a click is no speech; a breath is no end; what was not begun
 * does not end, and what has ended ends once.
 */
import { FRAME } from './silero';
import { MICROPHONE_RATE } from './frames';

/** Probability from which on a frame is speech, and below which it is silence: silero's own. */
const BEGINS = 0.5;
const ENDS = 0.35;
/** Frames of speech in a row before it counts. */
const LEAST = 3;
/** Frames of silence in a row before a voice is not there any more. */
const PAUSE = 8;

export type Change = 'began' | 'paused' | 'ended';

/** Frames that so many milliseconds take. */
export const frames = (ms: number): number => Math.ceil((ms * MICROPHONE_RATE) / 1000 / FRAME);

export class Speech {
  #speaking = false;
  #spoke = false;
  #ended = false;
  /** Frames of speech in a row; frames of silence since the last speech. */
  #speech = 0;
  #silence = 0;

  /** After so many frames of silence the question is over; null: never. */
  constructor(private readonly over: number | null) {}

  /** Whether anything was said at all. */
  get spoke(): boolean {
    return this.#spoke;
  }

  /** Takes the next frame's probability; tells a change. */
  next(probability: number): Change | null {
    const silent = probability < ENDS;
    if (probability >= BEGINS) this.#speech += 1;
    else if (silent) this.#speech = 0;

    if (this.#speaking) {
      if (silent) this.#silence += 1;
      else if (probability >= BEGINS) this.#silence = 0;
      if (this.#silence < PAUSE) return null;
      this.#speaking = false;
      return 'paused';
    }
    if (this.#speech >= LEAST) {
      this.#speaking = true;
      this.#spoke = true;
      this.#silence = 0;
      return 'began';
    }
    if (silent) this.#silence += 1;
    const over = this.over !== null && this.#silence >= this.over;
    if (!over || !this.#spoke || this.#ended) return null;
    this.#ended = true;
    return 'ended';
  }
}
