/** The finished games of this browser. */
import type { Kind } from './wire/Kind';
import type { Mode } from './wire/Mode';
import type { Winner } from './wire/Winner';

export interface Played {
  room: string;
  kind: Kind;
  mode: Mode;
  winner: Winner;
  score: number;
}

export interface Choices {
  kind: Kind;
  mode: Mode;
  name: string;
}

const GAMES = 'parlour.games';
const CHOICES = 'parlour.choices';
const KEPT = 500;

/** Storage can be full or forbidden; the game goes on without it. */
function read<T>(key: string): T | null {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null') as T | null;
  } catch {
    return null;
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // See `read`.
  }
}

export function playedGames(): Played[] {
  const games = read<Played[]>(GAMES);
  return Array.isArray(games) ? games : [];
}

/** Notes a game once, however often its end is seen. */
export function note(game: Played): void {
  const games = playedGames();
  if (games.some(({ room }) => room === game.room)) return;
  write(GAMES, [...games, game].slice(-KEPT));
}

export function summary(games: readonly Played[]): { games: number; wins: number; mean: number } {
  const wins = games.filter(({ winner }) => winner === 'player').length;
  const total = games.reduce((sum, { score }) => sum + score, 0);
  return { games: games.length, wins, mean: games.length ? Math.round(total / games.length) : 0 };
}

export function lastChoices(): Choices {
  const { kind, mode, name } = read<Partial<Choices>>(CHOICES) ?? {};
  return {
    kind: kind === 'inverse' ? 'inverse' : 'direct',
    mode: mode === 'blind' ? 'blind' : 'explanatory',
    name: typeof name === 'string' ? name : '',
  };
}

export function keepChoices(choices: Choices): void {
  write(CHOICES, choices);
}
