/** What the pages ask of a table's log: who is there, what is played, how it ended. */
import { setupAt, type Entry } from './table';
import type { Answer } from './wire/Answer';
import type { Ballot } from './wire/Ballot';
import type { Chair } from './wire/Chair';
import type { ChairScore } from './wire/ChairScore';
import type { Finish } from './wire/Finish';
import type { Member } from './wire/Member';
import type { Opinion } from './wire/Opinion';
import type { Role } from './wire/Role';
import type { Setup } from './wire/Setup';
import type { Voter } from './wire/Voter';
import type { VoterScore } from './wire/VoterScore';
import type { Witness } from './wire/Witness';

export interface Person {
  member: Member;
  name: string;
  role: Role;
  muted: boolean;
  gone: 'left' | 'removed' | null;
}

export interface Talk {
  offset: number;
  member: Member;
  text: string;
}

export interface Round {
  round: number;
  question: string | null;
  /** My own answer: null if I ran out of time, undefined if I have given none. */
  mine: string | null | undefined;
  /** What everybody sees at once. */
  answers: Answer[] | null;
  opinion: Opinion | null;
}

export interface Game {
  game: number;
  /** How it was set up. */
  setup: Setup;
  count: number;
  yours: Chair | null;
  judge: Member | null;
  /** Who sat where; null before the end. */
  chairs: Witness[] | null;
  seed: number | null;
  rounds: Round[];
  closed: Chair[];
  /** The chair was mine, and a machine answers on it now. */
  lost: boolean;
  /** Ballots are being or have been taken. */
  balloting: boolean;
  voted: { voter: Voter; ballot: Ballot | null }[];
  end: { finish: Finish; chairs: ChairScore[]; voters: VoterScore[] } | null;
}

export interface Sitting {
  setup: Setup | null;
  host: Member | null;
  /** Everybody who ever came, in the order of coming. */
  people: Person[];
  talk: Talk[];
  games: Game[];
}

/** The log, told as a whole. */
export function sittingOf(events: readonly Entry[]): Sitting {
  const sitting: Sitting = { setup: null, host: null, people: [], talk: [], games: [] };
  const known = new Map<Member, Person>();
  events.forEach((_, index) => tell(sitting, known, events, index));
  return sitting;
}

/** `known` finds among thousands who a number is. */
function tell(
  sitting: Sitting,
  known: Map<Member, Person>,
  events: readonly Entry[],
  index: number,
): void {
  const entry = events[index];
  const event = entry?.event;
  if (!entry || !event) return;
  const change = (member: Member, to: Partial<Person>) => {
    const person = known.get(member);
    if (person) Object.assign(person, to);
  };
  const game = sitting.games.at(-1);
  const round = (number: number): Round | undefined => {
    if (!game) return undefined;
    let found = game.rounds.find((known) => known.round === number);
    if (!found) {
      found = { round: number, question: null, mine: undefined, answers: null, opinion: null };
      game.rounds.push(found);
    }
    return found;
  };
  switch (event.type) {
    case 'table_opened':
      sitting.setup = event.setup;
      sitting.host = 0;
      return;
    case 'setup_changed':
      sitting.setup = event.setup;
      return;
    case 'came': {
      const { member, name, role } = event;
      // Numbers are never used twice.
      if (known.has(member)) return;
      const person: Person = { member, name, role, muted: false, gone: null };
      known.set(member, person);
      sitting.people.push(person);
      return;
    }
    case 'went':
      change(event.member, { gone: event.removed ? 'removed' : 'left' });
      return;
    case 'role_changed':
      change(event.member, { role: event.role });
      return;
    case 'host_changed':
      sitting.host = event.member;
      return;
    case 'muted':
      change(event.member, { muted: event.muted });
      return;
    case 'said':
      sitting.talk.push({ offset: entry.offset, member: event.member, text: event.text });
      return;
    case 'started': {
      const setup = setupAt(events, index);
      if (!setup) return;
      const { game: number, count, yours, judge, chairs, seed } = event;
      const opened = {
        rounds: [],
        closed: [],
        lost: false,
        balloting: false,
        voted: [],
        end: null,
      };
      sitting.games.push({ game: number, setup, count, yours, judge, chairs, seed, ...opened });
      return;
    }
    case 'questioned': {
      const found = round(event.round);
      if (found) found.question = event.text;
      return;
    }
    case 'replied': {
      const found = round(event.round);
      if (found && event.chair === game?.yours) found.mine = event.text;
      return;
    }
    case 'revealed': {
      const found = round(event.round);
      if (found) found.answers = event.answers;
      return;
    }
    case 'weighed': {
      const found = round(event.round);
      if (found) found.opinion = event.opinion;
      return;
    }
    case 'vacated':
      if (event.vacancy === 'close') game?.closed.push(event.chair);
      else if (game && event.chair === game.yours) game.lost = true;
      return;
    case 'ballots_opened':
      if (game) game.balloting = true;
      return;
    case 'voted':
      game?.voted.push({ voter: event.voter, ballot: event.ballot });
      return;
    case 'finished':
      if (game) game.end = event;
      return;
  }
}

/** The game that is being played, or the last one. */
export const lastGame = (sitting: Sitting): Game | null => sitting.games.at(-1) ?? null;

export const personOf = (sitting: Sitting, member: Member): Person | null =>
  sitting.people.find((one) => one.member === member) ?? null;

/** The people of the table who are still of it. */
export const company = (sitting: Sitting): Person[] => sitting.people.filter((one) => !one.gone);

/** What `me` is in `game`. */
export type Part = 'witness' | 'judge' | 'watcher';
export function partIn(game: Game, me: Member): Part {
  if (game.judge === me) return 'judge';
  return game.yours === null ? 'watcher' : 'witness';
}

/** Chairs that a ballot may name: open ones, but never one's own. */
export function nameable(game: Game): Chair[] {
  return Array.from({ length: game.count }, (_, chair) => chair).filter(
    (chair) => chair !== game.yours && !game.closed.includes(chair),
  );
}

/** The least confidence that is more than guessing, percent. */
export const guess = (chairs: number): number => Math.ceil(100 / Math.max(1, chairs));

/** The ballot that `me` has given in `game`. */
export const ballotOf = (game: Game, me: Member): Ballot | null =>
  game.voted.find(({ voter }) => voter.voter === 'person' && voter.member === me)?.ballot ?? null;

/** The bench's belief, percent, that `chair` holds a person, round after round. */
export function beliefsIn(game: Game, chair: Chair): { round: number; human: number }[] {
  return game.rounds.flatMap(({ round, opinion }) => {
    const belief = opinion?.beliefs.find((one) => one.chair === chair);
    return belief ? [{ round, human: belief.human }] : [];
  });
}

/** How many votes each chair got as the person. */
export function votesFor(game: Game, chair: Chair): Voter[] {
  const given = game.end?.voters ?? game.voted;
  return given.flatMap(({ voter, ballot }) => (ballot?.human === chair ? [voter] : []));
}

export interface Standing {
  member: Member;
  name: string;
  /** Games as a witness, and those that were won. */
  sat: number;
  won: number;
  /** Ballots, those that were right, and the sum of their scores. */
  votes: number;
  right: number;
  score: number;
}

/** The evening so far: everybody who played a game to its end, best first. */
export function standings(sitting: Sitting): Standing[] {
  const all = new Map<Member, Standing>();
  const of = (member: Member): Standing => {
    const known = all.get(member);
    if (known) return known;
    const name = personOf(sitting, member)?.name ?? '';
    const fresh = { member, name, sat: 0, won: 0, votes: 0, right: 0, score: 0 };
    all.set(member, fresh);
    return fresh;
  };
  for (const { end } of sitting.games) {
    if (end?.finish !== 'played') continue;
    for (const { witness, won } of end.chairs) {
      if (witness.who !== 'person') continue;
      const standing = of(witness.member);
      standing.sat += 1;
      standing.won += won ? 1 : 0;
    }
    for (const { voter, right, score } of end.voters) {
      if (voter.voter !== 'person') continue;
      const standing = of(voter.member);
      standing.votes += 1;
      standing.right += right ? 1 : 0;
      standing.score += score;
    }
  }
  return [...all.values()].sort(
    (a, b) => b.won - a.won || b.score - a.score || a.member - b.member,
  );
}
