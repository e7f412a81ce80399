/**
 * What the spirit says, on its way to the loudspeaker: a queue of samples that belong to
 * lines.
 *
 * Laws (see ring.test.ts): it never clicks, whatever comes when: the loudness moves by one
 * `FADE`th a sample at most, so that running dry, starting again and being silenced are
 * short fades; no sample is lost or played twice; it knows how much of which line was heard.
 */

/** Samples of a fade: 5 ms at 48 kHz. */
export const FADE = 240;
/** After running dry it waits for so many samples, or for the end of the line. */
export const PREROLL = 2_400;
/** Most samples that wait; what comes beyond is left out. Three minutes at 48 kHz. */
export const MOST = 180 * 48_000;

interface Piece {
  line: number;
  samples: Float32Array;
}

export interface Progress {
  line: number;
  /** Samples of the line that were played. */
  played: number;
}

export class Ring {
  #pieces: Piece[] = [];
  /** Samples of the first piece that were played. */
  #taken = 0;
  #waiting = 0;
  #gain = 0;
  /** Plays what there is: the preroll is full or no more will come. */
  #flowing = false;
  #ended = true;
  #progress: Progress | null = null;

  get waiting(): number {
    return this.#waiting;
  }

  /** How far the line that was heard last was played; null before any. */
  get progress(): Progress | null {
    return this.#progress;
  }

  push(line: number, samples: Float32Array): void {
    const room = Math.max(0, MOST - this.#waiting);
    const piece = samples.length > room ? samples.slice(0, room) : samples;
    this.#ended = false;
    if (piece.length === 0) return;
    this.#pieces.push({ line, samples: piece });
    this.#waiting += piece.length;
  }

  /** For now no more will come. */
  end(): void {
    this.#ended = true;
  }

  /** Silences at once: what is left is as short as a fade. What was played is forgotten. */
  flush(): void {
    this.#progress = null;
    let keep = Math.floor(this.#gain * FADE);
    if (!this.#flowing) keep = 0;
    keep = Math.min(keep, this.#waiting);
    this.#waiting = keep;
    const kept: Piece[] = [];
    let skip = this.#taken;
    for (const { line, samples } of this.#pieces) {
      if (keep === 0) break;
      const rest = samples.subarray(skip, skip + keep);
      skip = 0;
      keep -= rest.length;
      kept.push({ line, samples: rest });
    }
    this.#pieces = kept;
    this.#taken = 0;
    this.#ended = true;
  }

  /** Fills `out` with what is to be heard now. */
  read(out: Float32Array): void {
    if (!this.#flowing && this.#waiting > 0) {
      this.#flowing = this.#ended || this.#waiting >= PREROLL;
    }
    for (let index = 0; index < out.length; index += 1) {
      if (!this.#flowing || this.#waiting === 0) {
        this.#flowing = false;
        this.#gain = 0;
        out[index] = 0;
        continue;
      }
      this.#gain = Math.min(1, this.#gain + 1 / FADE, this.#waiting / FADE);
      out[index] = this.#next() * this.#gain;
    }
  }

  #next(): number {
    const piece = this.#pieces[0];
    if (!piece) return 0;
    const sample = piece.samples[this.#taken] ?? 0;
    this.#taken += 1;
    this.#waiting -= 1;
    const before = this.#progress?.line === piece.line ? this.#progress.played : 0;
    this.#progress = { line: piece.line, played: before + 1 };
    if (this.#taken >= piece.samples.length) {
      this.#pieces.shift();
      this.#taken = 0;
    }
    return sample;
  }
}
