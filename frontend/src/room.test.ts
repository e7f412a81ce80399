import { describe, expect, it } from 'vitest';

import { beliefsOf, reduce, roundsOf, type Entry, type Room } from './room';
import type { Event } from './wire/Event';
import type { Mode } from './wire/Mode';
import type { ToClient } from './wire/ToClient';

const opened = (mode: Mode): Event => ({
  type: 'opened',
  rules: {
    kind: 'direct',
    mode,
    round_cap: 5,
    confident_at: 80,
    abstain_below: 60,
    idle_limit_ms: 300_000,
    answer_limit: 600,
  },
  player: 'Ada',
  player_seat: 'A',
  seed: null,
  key: null,
});
const asked = (round: number): Event => ({ type: 'asked', round, text: `question ${round}` });
const mine = (round: number): Event => ({ type: 'answered', round, seat: 'A', text: 'mine' });
const theirs = (round: number): Event => ({ type: 'answered', round, seat: 'B', text: 'SECRET' });
const judged = (round: number, confidence = 70): Event => ({
  type: 'judged',
  round,
  verdict: {
    reasoning: 'SECRET',
    decision: 'B',
    confidence,
    grounds: {
      a_read_first: null,
      b_read_first: null,
      surprise_a: null,
      surprise_b: null,
      curvature_a: null,
      curvature_b: null,
    },
  },
});
const ended: Event = {
  type: 'ended',
  ending: 'rounds_over',
  outcome: { winner: 'bot', player_score: 30 },
};

const stamp = (offset: number, event: Event | null): Entry => ({ offset, at: offset, event });
const sent = (offset: number, event: Event | null): ToClient => ({
  type: 'event',
  room: 'r',
  ...stamp(offset, event),
});
const joined = (
  events: (Event | null)[],
  { offset = 0, epoch = 1 }: { offset?: number; epoch?: number } = {},
): ToClient => ({
  type: 'joined',
  room: 'r',
  epoch,
  offset,
  seat: 'A',
  events: events.map((event, index) => stamp(offset + index, event)),
  doing: { what: 'judge_asks' },
});
const partial = (
  text: string,
  { line = 'question', from = 0, attempt = 0, round = 1 }: Record<string, unknown> = {},
): ToClient => ({ type: 'partial', room: 'r', round, line, attempt, from, text }) as ToClient;

const after = (...messages: ToClient[]): Room => {
  const room = messages.reduce<Room | null>(reduce, null);
  if (!room) throw new Error('no room');
  return room;
};
const words = (room: Room) => roundsOf(room.events, room.seat, room.partials);

describe('the log', () => {
  it('shows an event that came twice once', () => {
    const room = after(joined([opened('explanatory')]), sent(1, asked(1)), sent(1, asked(1)));
    expect(room.events).toHaveLength(2);
    expect(room.gap).toBe(false);
  });

  it('asks for what is missing and keeps nothing after the hole', () => {
    const room = after(joined([opened('explanatory')]), sent(2, mine(1)));
    expect(room.gap).toBe(true);
    expect(room.events).toHaveLength(1);
  });

  it('goes on without a hole once the missing part has come', () => {
    const room = after(
      joined([opened('explanatory')]),
      sent(2, mine(1)),
      joined([asked(1), mine(1)], { offset: 1 }),
    );
    expect(room.gap).toBe(false);
    expect(room.events.map(({ offset }) => offset)).toEqual([0, 1, 2]);
  });

  it('is replaced by a join from the beginning', () => {
    const room = after(
      joined([opened('explanatory'), asked(1), mine(1)]),
      joined([opened('explanatory'), asked(1)], { epoch: 2 }),
    );
    expect(room.epoch).toBe(2);
    expect(room.events).toHaveLength(2);
  });

  it('starts over when a continuation belongs to another epoch', () => {
    const room = after(joined([opened('blind')]), joined([asked(1)], { offset: 1, epoch: 2 }));
    expect(room.events).toEqual([]);
    expect(room.gap).toBe(true);
  });

  it('does not heed another room', () => {
    const before = after(joined([opened('blind')]));
    expect(reduce(before, { ...sent(1, asked(1)), room: 'elsewhere' } as ToClient)).toBe(before);
  });
});

describe('a line that is being written', () => {
  it('grows by its pieces and is never doubled', () => {
    const room = after(
      joined([opened('blind')]),
      partial('Wha'),
      partial('t is', { from: 3 }),
      partial('t is', { from: 3 }),
      partial('Wha'),
    );
    expect(room.partials.question?.text).toBe('What is');
  });

  it('counts characters, not code units', () => {
    const room = after(joined([opened('blind')]), partial('🕯🕯'), partial('!', { from: 2 }));
    expect(room.partials.question?.text).toBe('🕯🕯!');
  });

  it('is wiped by a new attempt, and the old one is not heard again', () => {
    const room = after(
      joined([opened('blind')]),
      partial('Half of a'),
      partial('An', { attempt: 1 }),
      partial(' question', { from: 9, attempt: 0 }),
    );
    expect(room.partials.question?.text).toBe('An');
  });

  it('waits for its event when a piece was lost', () => {
    const room = after(joined([opened('blind')]), partial('Wh'), partial('now?', { from: 8 }));
    expect(room.partials.question?.text).toBe('Wh');
  });

  it('is replaced by its event, and a late piece does not bring it back', () => {
    const room = after(
      joined([opened('blind')]),
      partial('question'),
      sent(1, asked(1)),
      partial('question 1?'),
    );
    expect(room.partials.question).toBeUndefined();
    expect(words(room)).toHaveLength(1);
    expect(words(room)[0]?.question).toEqual({ text: 'question 1', whole: true });
  });

  it('of a past round is not heard', () => {
    const room = after(
      joined([opened('explanatory'), asked(1), theirs(1), mine(1), judged(1), asked(2)]),
      partial('late', { line: 'reasoning', round: 1 }),
    );
    expect(room.partials.reasoning).toBeUndefined();
  });
});

describe('a blind game', () => {
  it('holds nothing of the other or of the judge before the end, even if it were sent', () => {
    const room = after(
      joined([opened('blind')]),
      sent(1, asked(1)),
      partial('SECRET', { line: 'other_answer' }),
      partial('SECRET', { line: 'reasoning' }),
      sent(2, theirs(1)),
      sent(3, mine(1)),
      sent(4, judged(1)),
    );
    expect(JSON.stringify(room)).not.toContain('SECRET');
    expect(beliefsOf(room.events)).toEqual([]);
  });

  it('shows that a veiled line exists', () => {
    const [round] = words(after(joined([opened('blind'), asked(1), mine(1), null, null])));
    expect(round?.answers.B).toBe('veiled');
    expect(round?.verdict).toBe('veiled');
  });

  it('is whole after the unveiling', () => {
    const room = after(joined([opened('blind'), asked(1), null, mine(1), null]), sent(5, ended), {
      type: 'unveiled',
      room: 'r',
      events: [stamp(2, theirs(1)), stamp(4, judged(1, 90))],
    });
    expect(words(room)[0]?.answers.B).toEqual({ text: 'SECRET', whole: true });
    expect(beliefsOf(room.events)).toEqual([{ round: 1, a: 10 }]);
    expect(room.doing).toEqual({ what: 'over' });
  });
});
