/**
 * Voice activity: whether somebody speaks into this microphone. Loaded when a microphone was
 * given and not before; what it hears stays in this browser.
 */
import weightsUrl from 'virtual:silero';

import { FRAME, Silero } from './silero';
import { frames, Speech, type Change } from './speech';

export class Activity {
  #speech = new Speech(null);
  /** Samples that are no whole frame yet. */
  #held = new Float32Array(FRAME);
  #filled = 0;

  private constructor(private readonly silero: Silero) {}

  /** Throws where the weights cannot be had. */
  static async load(): Promise<Activity> {
    const response = await fetch(weightsUrl);
    if (!response.ok) throw new Error(`${weightsUrl}: ${response.status}`);
    return new Activity(new Silero(await response.arrayBuffer()));
  }

  /** A question begins, which ends after so many milliseconds of silence; 0: by no silence. */
  begin(silence: number): void {
    this.silero.reset();
    this.#filled = 0;
    this.#speech = new Speech(silence > 0 ? frames(silence) : null);
  }

  /** Whether anything was said since it began. */
  get spoke(): boolean {
    return this.#speech.spoke;
  }

  /** Hears the next samples, at 16 kHz; tells what changed. */
  hear(samples: Float32Array): Change[] {
    const changes: Change[] = [];
    for (let at = 0; at < samples.length;) {
      const part = samples.subarray(at, at + FRAME - this.#filled);
      this.#held.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < FRAME) break;
      this.#filled = 0;
      const change = this.#speech.next(this.silero.hear(this.#held));
      if (change) changes.push(change);
    }
    return changes;
  }
}
