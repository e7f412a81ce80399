/** From a game to what the scene shows of it. */
import { other, type Belief } from './room';
import { QUIET, type Stage } from './stage.svelte';
import { t } from './strings';
import type { Ending } from './wire/Ending';
import type { Outcome } from './wire/Outcome';
import type { Rules } from './wire/Rules';
import type { Seat } from './wire/Seat';

interface Given {
  rules: Rules;
  beliefs: Belief[];
  round: number;
  burnt: number;
  /** The reader's own seat, if the reader is the player. */
  you: Seat | null;
  playerSeat: Seat;
  end: { ending: Ending; outcome: Outcome | null } | null;
  speaking: { [seat in Seat]?: boolean };
}

export function sceneOf(given: Given): Stage {
  const { rules, beliefs, round, burnt, you, playerSeat, end, speaking } = given;
  const hood = rules.mode === 'blind' && !end;
  const last = beliefs.at(-1);
  const belief = () => {
    if (hood) return t.scene.hood;
    if (!last || last.a === 50) return t.scene.even;
    return last.a > 50 ? t.scene.lean('A', last.a) : t.scene.lean('B', 100 - last.a);
  };
  const words = [t.scene.game(round, rules.round_cap), belief()];
  if (end) words.push(t.scene.lifted(playerSeat, other(playerSeat)));
  return {
    cap: rules.round_cap,
    burnt,
    beliefs,
    hood,
    // A game that nobody finished leaves a candle that was blown out.
    lit: !end || end.outcome !== null,
    person: end ? playerSeat : null,
    you,
    speaking: end ? QUIET : { A: speaking.A ?? false, B: speaking.B ?? false },
    label: words.join(' '),
  };
}
