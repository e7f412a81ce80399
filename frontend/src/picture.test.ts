import { describe, expect, it } from 'vitest';

import { summary, type Played } from './score';
import { sceneOf } from './sceneOf';
import { curve, drift } from './smoke';
import type { Rules } from './wire/Rules';

const rules: Rules = {
  kind: 'direct',
  mode: 'blind',
  round_cap: 5,
  confident_at: 80,
  abstain_below: 60,
  idle_limit_ms: 300_000,
  answer_limit: 600,
};
const given = {
  rules,
  beliefs: [],
  round: 2,
  burnt: 1,
  you: 'A' as const,
  playerSeat: 'A' as const,
  end: null,
  speaking: { A: true },
};

describe('the smoke', () => {
  it('drifts left for A and right for B, as far as the belief goes', () => {
    expect(drift({ round: 1, a: 100 })).toBe(-1);
    expect(drift({ round: 1, a: 50 })).toBe(0);
    expect(drift({ round: 1, a: 25 })).toBe(0.5);
  });

  it('passes through every belief', () => {
    const path = curve([
      { x: 1, y: 10 },
      { x: 5, y: 20 },
      { x: 2, y: 30 },
    ]);
    expect(path).toMatch(/^M1 10 C.* 5 20 C.* 2 30$/);
  });
});

describe('the scene', () => {
  it('tells nobody who sits where before the end', () => {
    expect(sceneOf(given).person).toBeNull();
    expect(sceneOf(given).label).not.toContain('automaton');
  });

  it('keeps a blind game under its hood until the end', () => {
    expect(sceneOf(given).hood).toBe(true);
    const end = {
      ending: 'convinced' as const,
      outcome: { winner: 'player' as const, player_score: 70 },
    };
    const after = sceneOf({ ...given, end });
    expect(after).toMatchObject({ hood: false, lit: true, person: 'A' });
  });

  it('blows the candle out when nobody finished the game', () => {
    expect(sceneOf({ ...given, end: { ending: 'idle', outcome: null } }).lit).toBe(false);
  });
});

describe('the record', () => {
  const game = (winner: Played['winner'], score: number): Played => ({
    room: String(score),
    kind: 'direct',
    mode: 'blind',
    winner,
    score,
  });

  it('counts games, wins and the mean score', () => {
    const games = [game('player', 80), game('bot', 35), game('nobody', 50)];
    expect(summary(games)).toEqual({ games: 3, wins: 1, mean: 55 });
    expect(summary([])).toEqual({ games: 0, wins: 0, mean: 0 });
  });
});
