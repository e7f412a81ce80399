/**
 * Whether sound comes out of this browser: the clock of what plays it moves. It stands where
 * there is no loudspeaker, where the browser waits for a touch, and while a telephone rings.
 * Pure.
 */

/** Looks in a row at which the clock stands, before it is believed: a start takes a while too. */
export const LOOKS = 4;

/** Between two looks, milliseconds. */
export const EACH_MS = 500;

export class Pulse {
  #clock = -1;
  #same = 0;

  /** Looks once, at a clock in seconds: whether it stands still. */
  stands(clock: number): boolean {
    // Looks are counted, not time: a machine that slept has not been silent.
    this.#same = clock === this.#clock ? this.#same + 1 : 0;
    this.#clock = clock;
    return this.#same >= LOOKS;
  }
}
