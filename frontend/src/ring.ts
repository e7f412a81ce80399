/** What the scene shows of a table: a candle before a half circle of screens. */
import { beliefsIn, type Game, type Sitting } from './sitting';
import { t } from './strings';
import { witnessName } from './words';

export interface Screen {
  letter: string;
  /** Whose screen the reader sits behind. */
  you: boolean;
  /** The answer is being written. */
  speaking: boolean;
  closed: boolean;
  /** How bright it glows, 0 to 1: the bench's belief that a person sits there. */
  glow: number;
  /** Who sat there, once the screens are up. */
  was: 'person' | 'automaton' | null;
  name: string;
}

export interface Ring {
  screens: Screen[];
  cap: number;
  burnt: number;
  hood: boolean;
  lit: boolean;
  /** -1 (left) to 1 (right): where the flame leans. */
  lean: number;
  /** The scene in words. */
  label: string;
}

const plain = (chair: number): Screen => ({
  letter: t.table.letter(chair),
  you: false,
  speaking: false,
  closed: false,
  glow: 0,
  was: null,
  name: '',
});

/** Screens before anybody sits behind them. */
export function ringOf({ count, cap = 3 }: { count: number; cap?: number }): Ring {
  return {
    screens: Array.from({ length: count }, (_, chair) => plain(chair)),
    cap,
    burnt: 0,
    hood: false,
    lit: true,
    lean: 0,
    label: t.sceneTable.label(count),
  };
}

/** The screens of a game. */
export function ringOfGame(sitting: Sitting, game: Game, answering: boolean): Ring {
  const { count, yours, closed, end, rounds, setup } = game;
  const words = [t.sceneTable.label(count)];
  const beliefs = Array.from(
    { length: count },
    (_, chair) => beliefsIn(game, chair).at(-1)?.human ?? null,
  );
  const screens = beliefs.map((belief, chair): Screen => {
    const score = end?.chairs.find((one) => one.chair === chair);
    const name = score ? witnessName(sitting, score.witness) : '';
    if (closed.includes(chair)) words.push(t.sceneTable.closed(chair));
    if (name) words.push(t.sceneTable.was(chair, name));
    return {
      ...plain(chair),
      you: chair === yours,
      speaking: answering && !closed.includes(chair),
      closed: closed.includes(chair),
      glow: (belief ?? 0) / 100,
      was: score ? (score.witness.who === 'person' ? 'person' : 'automaton') : null,
      name,
    };
  });
  const total = beliefs.reduce<number>((sum, belief) => sum + (belief ?? 0), 0);
  const lean =
    total > 0 && count > 1
      ? beliefs.reduce<number>((sum, b, chair) => sum + (b ?? 0) * place(chair, count), 0) / total
      : 0;
  const best = beliefs.reduce<number>(
    (top, b, chair) => ((b ?? 0) > (beliefs[top] ?? 0) ? chair : top),
    0,
  );
  if (!end && total > 0) words.push(t.sceneTable.leads(best, beliefs[best] ?? 0));
  return {
    screens,
    cap: setup.rounds,
    burnt: rounds.filter(({ answers }) => answers).length,
    hood: setup.mode === 'blind' && !end,
    lit: !end || end.finish === 'played',
    lean,
    label: words.join(' '),
  };
}

/** Where a chair stands, -1 to 1 from left to right. */
const place = (chair: number, count: number) => (2 * chair) / (count - 1) - 1;
