/**
 * The unattended machine: when somebody has gone, it is made ready for the next one. Pure:
 * who calls brings the time.
 */

/** Without a key, a touch or a word for so long somebody has gone, milliseconds. */
export const GONE_MS = 90_000;
/** After that of being dismissed or out of order, the page is loaded anew. */
export const RELOAD_MS = 15_000;

export interface Watch {
  /** Whether anything is going on that needs no hand: the visitor speaks or listens. */
  busy: boolean;
  sitting: boolean;
  attracting: boolean;
  /** The line is down for good, or nothing works. */
  broken: boolean;
  stirred: number;
  brokenSince: number | null;
}

export type Step = 'nothing' | 'attract' | 'reload';

export function step(watch: Watch, now: number): Step {
  if (watch.broken && watch.brokenSince !== null && now - watch.brokenSince >= RELOAD_MS) {
    return 'reload';
  }
  if (watch.attracting) return 'nothing';
  // Who got up is gone at once; who sits may be listening with their hands in their pockets.
  const patience = watch.busy ? 2 * GONE_MS : GONE_MS;
  const gone = now - watch.stirred >= (watch.sitting ? patience : 5_000);
  return gone ? 'attract' : 'nothing';
}
