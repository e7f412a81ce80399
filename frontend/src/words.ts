/** Sentences that are put together from a game. */
import { personOf, type Sitting } from './sitting';
import { t } from './strings';
import type { Ending } from './wire/Ending';
import type { Kind } from './wire/Kind';
import type { Machine } from './wire/Machine';
import type { Member } from './wire/Member';
import type { Outcome } from './wire/Outcome';
import type { Setup } from './wire/Setup';
import type { Witness } from './wire/Witness';

/** How a game ended, in one line. */
export function headline(end: { ending: Ending; outcome: Outcome | null }, kind: Kind): string {
  const { ending, outcome } = end;
  if (ending === 'stopped' || ending === 'idle' || ending === 'broken') {
    return t.verdict.unfinished[ending];
  }
  if (!outcome || outcome.winner === 'nobody') return t.verdict.nobody;
  return t.verdict[kind][outcome.winner];
}

/** How a table plays, in a few phrases. */
export function rulesInWords(setup: Setup): string[] {
  const { bench, people, machines, rounds, seconds, kind, mode } = setup;
  return [
    t.table.rule.bench[bench],
    t.table.rule.chairs(people, machines.length),
    t.table.rule.rounds(rounds, t.setup.secondsOf(seconds)),
    ...(kind === 'inverse' ? [t.setup.kinds.inverse.title] : []),
    ...(mode === 'blind' ? [t.setup.modes.blind.title] : []),
  ];
}

/** What a member is called. */
export const nameOf = (sitting: Sitting, member: Member): string =>
  personOf(sitting, member)?.name || t.table.guest(member);

/** Who a witness was, as the end reveals it. */
export const witnessName = (sitting: Sitting, witness: Witness): string =>
  witness.who === 'person' ? nameOf(sitting, witness.member) : t.setup.machine(witness.machine);

/** The machines of a table, each kind once. */
export function machinesInWords(machines: readonly Machine[]): string {
  const counts = new Map<string, number>();
  for (const machine of machines) {
    const name = t.setup.machine(machine);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, n]) => (n === 1 ? name : `${n} × ${name}`)).join(', ');
}
