import { describe, expect, it } from 'vitest';

import { ringOf, ringOfGame } from './ring';
import { sittingOf, type Game, type Sitting } from './sitting';
import type { Entry } from './table';
import type { TableEvent } from './wire/TableEvent';

const LOG: TableEvent[] = [
  {
    type: 'table_opened',
    setup: {
      kind: 'direct',
      mode: 'explanatory',
      bench: 'everybody',
      people: 2,
      machines: [{ is: 'eliza' }],
      rounds: 3,
      seconds: 90,
      vacancy: 'close',
      listed: true,
      open_to_spectators: true,
      line_limit: 500,
    },
  },
  { type: 'came', member: 0, name: 'Ada', role: 'witness', key: null },
  { type: 'started', game: 1, chairs: null, count: 3, yours: 2, judge: null, seed: null },
  { type: 'questioned', round: 1, text: '?' },
  { type: 'revealed', round: 1, answers: [] },
];
const WEIGHED: TableEvent = {
  type: 'weighed',
  round: 1,
  opinion: {
    reasoning: '',
    beliefs: [5, 10, 85].map((human, chair) => ({
      chair,
      human,
      reading: null,
      surprise: null,
      curvature: null,
    })),
  },
};
const FINISHED: TableEvent = {
  type: 'finished',
  finish: 'played',
  chairs: [
    {
      chair: 0,
      witness: { who: 'machine', machine: { is: 'eliza' } },
      taken_for_human: 10,
      won: false,
    },
    { chair: 2, witness: { who: 'person', member: 0 }, taken_for_human: 80, won: true },
  ],
  voters: [],
};

const sit = (...more: TableEvent[]): { sitting: Sitting; game: Game } => {
  const events = [...LOG, ...more].map((event, offset): Entry => ({ offset, at: offset, event }));
  const sitting = sittingOf(events);
  const [game] = sitting.games;
  if (!game) throw new Error('no game');
  return { sitting, game };
};
const ring = (...more: TableEvent[]) => {
  const { sitting, game } = sit(...more);
  return ringOfGame(sitting, game, true);
};

describe('the ring of screens', () => {
  it('has a letter for each chair, and marks the reader’s own', () => {
    const { screens } = ring();
    expect(screens.map(({ letter }) => letter)).toEqual(['A', 'B', 'C']);
    expect(screens.map(({ you }) => you)).toEqual([false, false, true]);
    expect(ringOf({ count: 8 }).screens.at(-1)?.letter).toBe('H');
  });

  it('tells nobody who sits where before the end', () => {
    expect(ring(WEIGHED).screens.every(({ was, name }) => was === null && name === '')).toBe(true);
    const after = ring(WEIGHED, FINISHED);
    expect(after.screens.map(({ was }) => was)).toEqual(['automaton', null, 'person']);
    expect(after.label).toContain('Behind C sat Ada.');
  });

  it('leans and glows toward the one who is taken for a person', () => {
    const { lean, screens, label } = ring(WEIGHED);
    expect(lean).toBeGreaterThan(0.5);
    expect(screens.map(({ glow }) => glow)).toEqual([0.05, 0.1, 0.85]);
    expect(label).toContain('85 % to C');
    expect(ring().lean).toBe(0);
  });

  it('burns down by the rounds that were revealed', () => {
    expect(ring()).toMatchObject({ cap: 3, burnt: 1 });
  });

  it('keeps a closed screen silent', () => {
    const { screens } = ring({ type: 'vacated', chair: 1, vacancy: 'close' });
    expect(screens.map(({ speaking, closed }) => [speaking, closed])).toEqual([
      [true, false],
      [false, true],
      [true, false],
    ]);
  });
});
