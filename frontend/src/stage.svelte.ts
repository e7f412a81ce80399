/** What the scene shows. One scene stands behind all pages, so that it can move between them. */
import type { Ring } from './ring';
import type { Belief } from './room';
import type { Seat } from './wire/Seat';

export interface Stage {
  /** Rounds that the candle is long. */
  cap: number;
  /** Rounds that have burned down. */
  burnt: number;
  beliefs: Belief[];
  /** A glass hood keeps the flame still. */
  hood: boolean;
  lit: boolean;
  /** Where the person sat, once the screens are up. */
  person: Seat | null;
  /** The player's own screen. */
  you: Seat | null;
  /** Who is due to speak. */
  speaking: { A: boolean; B: boolean };
  /** The scene in words. */
  label: string;
}

export const QUIET = { A: false, B: false };

class Holder {
  now = $state.raw<Stage | null>(null);
  /** The screens of a table for many; null where two are enough. */
  ring = $state.raw<Ring | null>(null);
}

export const stage = new Holder();
