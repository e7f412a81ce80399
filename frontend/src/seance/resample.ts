/**
 * From one sample rate to another, piece by piece, by a windowed sinc: what a low-pass at
 * the smaller of both bandwidths passes, read at the new instants (Smith, "Digital Audio
 * Resampling", ccrma.stanford.edu/~jos/resample). The window is Hann's.
 *
 * Laws (see resample.test.ts): the pieces do not show in the result; a tone below half the
 * new rate keeps pitch and loudness, one above is gone; as many samples come out as the
 * duration asks for.
 */

/** Zero crossings of the sinc on each side. */
const CROSSINGS = 16;
/** Share of the band that is kept: the rest is where the filter falls. */
const BAND = 0.92;

export class Resampler {
  readonly #step: number;
  readonly #cutoff: number;
  readonly #reach: number;
  /** What may still be needed, its first sample's index in all that came, and all that came. */
  #held: Float32Array;
  #first: number;
  #came = 0;
  #made = 0;

  /** Rates in samples per second. */
  constructor(from: number, to: number) {
    this.#step = from / to;
    this.#cutoff = Math.min(1, to / from) * BAND;
    this.#reach = Math.ceil(CROSSINGS / this.#cutoff);
    // Before the first sample there is silence.
    this.#held = new Float32Array(this.#reach);
    this.#first = -this.#reach;
  }

  /** What follows from these samples. The last few of them wait for their neighbours. */
  push(samples: Float32Array): Float32Array {
    this.#take(samples);
    this.#came += samples.length;
    const out: number[] = [];
    for (;;) {
      const at = this.#made * this.#step;
      if (Math.floor(at) + this.#reach >= this.#came) break;
      out.push(this.#at(at));
      this.#made += 1;
    }
    this.#forget();
    return Float32Array.from(out);
  }

  /** What is left, to the length of what came. */
  end(): Float32Array {
    const whole = Math.round(this.#came / this.#step);
    this.#take(new Float32Array(this.#reach + 1));
    const out: number[] = [];
    while (this.#made < whole) {
      out.push(this.#at(this.#made * this.#step));
      this.#made += 1;
    }
    return Float32Array.from(out);
  }

  #take(samples: Float32Array): void {
    const joined = new Float32Array(this.#held.length + samples.length);
    joined.set(this.#held);
    joined.set(samples, this.#held.length);
    this.#held = joined;
  }

  #forget(): void {
    const needed = Math.floor(this.#made * this.#step) - this.#reach;
    const over = Math.max(0, Math.min(this.#held.length, needed - this.#first));
    this.#held = this.#held.slice(over);
    this.#first += over;
  }

  #at(at: number): number {
    const centre = Math.floor(at);
    let sum = 0;
    for (let index = centre - this.#reach + 1; index <= centre + this.#reach; index += 1) {
      const value = this.#held[index - this.#first];
      if (value !== undefined && value !== 0) sum += value * this.#kernel(index - at);
    }
    return sum;
  }

  #kernel(distance: number): number {
    const x = distance * this.#cutoff;
    if (Math.abs(x) >= CROSSINGS) return 0;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / CROSSINGS);
    return sinc * window * this.#cutoff;
  }
}
