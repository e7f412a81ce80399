import { describe, expect, it } from 'vitest';

import { ballotOf, guess, nameable, sittingOf, standings } from './sitting';
import { reduce, type Entry, type Table } from './table';
import type { Mode } from './wire/Mode';
import type { Setup } from './wire/Setup';
import type { TableEvent } from './wire/TableEvent';
import type { ToClient } from './wire/ToClient';

const setup = (mode: Mode = 'explanatory'): Setup => ({
  kind: 'direct',
  mode,
  bench: 'everybody',
  people: 2,
  machines: [{ is: 'model' }],
  rounds: 3,
  seconds: 90,
  vacancy: 'machine',
  listed: true,
  open_to_spectators: true,
  line_limit: 500,
});
const opened = (mode?: Mode): TableEvent => ({ type: 'table_opened', setup: setup(mode) });
const came = (member: number, name: string): TableEvent => ({
  type: 'came',
  member,
  name,
  role: 'witness',
  key: null,
});
const started = (game = 1): TableEvent => ({
  type: 'started',
  game,
  chairs: null,
  count: 3,
  yours: 1,
  judge: null,
  seed: null,
});
const asked = (round: number): TableEvent => ({ type: 'questioned', round, text: `q${round}` });
const replied = (round: number, chair: number, text = 'SECRET'): TableEvent => ({
  type: 'replied',
  round,
  chair,
  text,
});
const revealed = (round: number): TableEvent => ({
  type: 'revealed',
  round,
  answers: [0, 1, 2].map((chair) => ({ chair, text: `answer ${chair}` })),
});
const weighed = (round: number): TableEvent => ({
  type: 'weighed',
  round,
  opinion: {
    reasoning: 'SECRET',
    beliefs: [0, 1, 2].map((chair) => ({
      chair,
      human: 30,
      reading: null,
      surprise: null,
      curvature: null,
    })),
  },
});
const voted = (member: number, human: number | null): TableEvent => ({
  type: 'voted',
  voter: { voter: 'person', member },
  ballot: human === null ? null : { human, confidence: 70 },
});
const finished: TableEvent = {
  type: 'finished',
  finish: 'played',
  chairs: [
    { chair: 0, witness: { who: 'person', member: 1 }, taken_for_human: 60, won: true },
    { chair: 1, witness: { who: 'person', member: 0 }, taken_for_human: 40, won: false },
    {
      chair: 2,
      witness: { who: 'machine', machine: { is: 'eliza' } },
      taken_for_human: 20,
      won: false,
    },
  ],
  voters: [
    {
      voter: { voter: 'person', member: 0 },
      ballot: { human: 0, confidence: 70 },
      right: true,
      score: 91,
    },
  ],
};

const stamp = (offset: number, event: TableEvent | null): Entry => ({ offset, at: offset, event });
const sent = (offset: number, event: TableEvent | null): ToClient => ({
  type: 'table_event',
  room: 'r',
  ...stamp(offset, event),
});
const seated = (
  events: (TableEvent | null)[],
  { offset = 0, epoch = 1 }: { offset?: number; epoch?: number } = {},
): ToClient => ({
  type: 'seated',
  room: 'r',
  epoch,
  offset,
  you: 0,
  seat: 'token',
  events: events.map((event, index) => stamp(offset + index, event)),
  doing: { what: 'gathering' },
  present: [0],
});
const after = (...messages: ToClient[]): Table => {
  const table = messages.reduce<Table | null>(reduce, null);
  if (!table) throw new Error('no table');
  return table;
};
const GATHERED = [opened(), came(0, 'Ada'), came(1, 'Bob')];

describe('the log', () => {
  it('counts an event that came twice once', () => {
    const table = after(seated(GATHERED), sent(3, started()), sent(3, started()));
    expect(table.events).toHaveLength(4);
    expect(sittingOf(table.events).games).toHaveLength(1);
    expect(table.gap).toBe(false);
  });

  it('keeps the first of two different events with one offset', () => {
    const table = after(seated(GATHERED), sent(2, came(1, 'Mallory')));
    expect(sittingOf(table.events).people[1]?.name).toBe('Bob');
  });

  it('asks for what is missing and keeps nothing after the hole', () => {
    const table = after(seated(GATHERED), sent(4, asked(1)));
    expect(table.gap).toBe(true);
    expect(table.events).toHaveLength(3);
  });

  it('goes on without a hole once the missing part has come whole', () => {
    const table = after(
      seated(GATHERED),
      sent(5, replied(1, 1)),
      seated([started(), asked(1), replied(1, 1)], { offset: 3 }),
    );
    expect(table.gap).toBe(false);
    expect(table.events.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('is replaced by a seat from the beginning', () => {
    const table = after(seated([...GATHERED, started()]), seated(GATHERED, { epoch: 2 }));
    expect(table.epoch).toBe(2);
    expect(table.events).toHaveLength(3);
  });

  it('starts over when a continuation belongs to another epoch', () => {
    const table = after(seated(GATHERED), seated([started()], { offset: 3, epoch: 2 }));
    expect(table.events).toEqual([]);
    expect(table.gap).toBe(true);
  });

  it('does not heed another room', () => {
    const before = after(seated(GATHERED));
    expect(reduce(before, { ...sent(3, started()), room: 'elsewhere' } as ToClient)).toBe(before);
  });

  it('ends the same however the line shuffles, repeats and is made good', () => {
    const log = [...GATHERED, started(), asked(1), replied(1, 1, 'mine'), revealed(1), asked(2)];
    const straight = after(seated(log)).events;
    for (let seed = 1; seed <= 200; seed += 1) {
      let state = seed;
      const dice = (sides: number) => {
        state = (state * 48_271) % 2_147_483_647;
        return state % sides;
      };
      let table: Table | null = after(seated(log.slice(0, 1)));
      for (let step = 0; step < 30; step += 1) {
        const offset = dice(log.length);
        table = reduce(table, sent(offset, log[offset] ?? null));
        const held: number = table?.events.length ?? 0;
        expect(table?.events.map((entry) => entry.offset)).toEqual([...Array(held).keys()]);
        if (table?.gap && dice(2) === 0)
          table = reduce(table, seated(log.slice(held), { offset: held }));
      }
      const held = table?.events.length ?? 0;
      table = reduce(table, seated(log.slice(held), { offset: held }));
      expect(table?.events).toEqual(straight);
    }
  });
});

describe('what is veiled', () => {
  it('is not held while the answers are being written, even if it were sent', () => {
    const table = after(seated([...GATHERED, started(), asked(1), replied(1, 0), replied(1, 2)]));
    expect(JSON.stringify(table)).not.toContain('SECRET');
  });

  it('stays veiled in a blind game until its end', () => {
    const log = [opened('blind'), came(0, 'Ada'), started(), asked(1), revealed(1), weighed(1)];
    const playing = after(seated(log), {
      type: 'partial',
      room: 'r',
      round: 1,
      line: 'reasoning',
      attempt: 0,
      from: 0,
      text: 'SECRET',
    });
    expect(JSON.stringify(playing)).not.toContain('SECRET');
    const over = reduce(reduce(playing, sent(6, finished)), {
      type: 'table_unveiled',
      room: 'r',
      events: [stamp(5, weighed(1))],
    });
    expect(sittingOf(over?.events ?? []).games[0]?.rounds[0]?.opinion?.reasoning).toBe('SECRET');
  });

  it('is filled where only a part of an event was held', () => {
    const log = [...GATHERED, started(), voted(1, null), finished];
    const table = after(seated(log), {
      type: 'table_unveiled',
      room: 'r',
      events: [
        stamp(3, { ...started(), chairs: [{ who: 'person', member: 1 }] } as TableEvent),
        stamp(4, voted(1, 2)),
      ],
    });
    const [game] = sittingOf(table.events).games;
    expect(game?.chairs).toHaveLength(1);
    expect(game && ballotOf(game, 1)).toEqual({ human: 2, confidence: 70 });
  });

  it('does not bring events that were never held', () => {
    const table = after(seated(GATHERED), {
      type: 'table_unveiled',
      room: 'r',
      events: [stamp(9, asked(1))],
    });
    expect(table.events).toHaveLength(3);
  });
});

describe('a question that is being written', () => {
  const piece = (text: string, from = 0): ToClient => ({
    type: 'partial',
    room: 'r',
    round: 1,
    line: 'question',
    attempt: 0,
    from,
    text,
  });
  it('grows by its pieces, and its event replaces it for good', () => {
    const writing = after(seated([...GATHERED, started()]), piece('Wha'), piece('t?', 3));
    expect(writing.partials.question?.text).toBe('What?');
    const whole = reduce(reduce(writing, sent(4, asked(1))), piece('Wha'));
    expect(whole?.partials.question).toBeUndefined();
  });
});

describe('the evening', () => {
  it('knows who is of the company, who is host and who was removed', () => {
    const { people, host } = sittingOf(
      after(
        seated([
          ...GATHERED,
          { type: 'host_changed', member: 1 },
          { type: 'went', member: 0, removed: true },
          { type: 'muted', member: 1, muted: true },
        ]),
      ).events,
    );
    expect(host).toBe(1);
    expect(people.map(({ gone, muted }) => [gone, muted])).toEqual([
      ['removed', false],
      [null, true],
    ]);
  });

  it('offers neither one’s own chair nor a closed one to a ballot', () => {
    const { games } = sittingOf(
      after(seated([...GATHERED, started(), { type: 'vacated', chair: 2, vacancy: 'close' }]))
        .events,
    );
    expect(games[0] && nameable(games[0])).toEqual([0]);
    expect([guess(1), guess(3), guess(8)]).toEqual([100, 34, 13]);
  });

  it('adds up every game that was played to its end', () => {
    const log = [...GATHERED, started(1), finished, started(2), finished, started(3)];
    const [first, second] = standings(sittingOf(after(seated(log)).events));
    expect(first).toMatchObject({ name: 'Bob', sat: 2, won: 2, votes: 0 });
    expect(second).toMatchObject({ name: 'Ada', sat: 2, won: 0, votes: 2, right: 2, score: 182 });
  });
});
