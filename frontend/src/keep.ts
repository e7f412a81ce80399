/** What this browser keeps of its tables: places at them, and how the last one was set up. */
import type { Setup } from './wire/Setup';

const SEATS = 'parlour.seats';
const SETUP = 'parlour.setup';
/** Tables whose places are kept, newest last. */
const KEPT = 30;

type Seats = [room: string, token: string][];

function seats(): Seats {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(SEATS) ?? '[]');
    return Array.isArray(kept) ? (kept as Seats) : [];
  } catch {
    return [];
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage may be full or forbidden: the place then lives as long as the page.
  }
}

/** The token that gives back the place at `room`. A secret. */
export function seatAt(room: string): string | null {
  return seats().find(([of]) => of === room)?.[1] ?? null;
}

export function keepSeat(room: string, token: string): void {
  write(SEATS, [...seats().filter(([of]) => of !== room), [room, token]].slice(-KEPT));
}

export function forgetSeat(room: string): void {
  write(
    SEATS,
    seats().filter(([of]) => of !== room),
  );
}

export const FIRST_SETUP: Setup = {
  kind: 'direct',
  mode: 'explanatory',
  bench: 'everybody',
  people: 3,
  machines: [{ is: 'model' }],
  rounds: 3,
  seconds: 90,
  vacancy: 'machine',
  listed: true,
  open_to_spectators: true,
  line_limit: 500,
};

/** The setup that was used last; what an older page kept is completed. */
export function lastSetup(): Setup {
  try {
    const kept = JSON.parse(localStorage.getItem(SETUP) ?? '{}') as Partial<Setup>;
    return { ...FIRST_SETUP, ...kept };
  } catch {
    return FIRST_SETUP;
  }
}

export const keepSetup = (setup: Setup): void => write(SETUP, setup);
