/** Sentences that are put together from a game. */
import { t } from './strings';
import type { Ending } from './wire/Ending';
import type { Kind } from './wire/Kind';
import type { Outcome } from './wire/Outcome';

/** How a game ended, in one line. */
export function headline(end: { ending: Ending; outcome: Outcome | null }, kind: Kind): string {
  const { ending, outcome } = end;
  if (ending === 'stopped' || ending === 'idle' || ending === 'broken') {
    return t.verdict.unfinished[ending];
  }
  if (!outcome || outcome.winner === 'nobody') return t.verdict.nobody;
  return t.verdict[kind][outcome.winner];
}
