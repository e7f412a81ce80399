import { describe, expect, it } from 'vitest';

import { lineOf, readable, reduce, sits, type Seance } from './seance';
import type { SeanceEvent } from '../wire/SeanceEvent';
import type { ToClient } from '../wire/ToClient';

const QUIET = { what: 'quiet' } as const;

function enter(you: number | null, offset = 0, events: SeanceEvent[] = []): ToClient {
  return {
    type: 'seance',
    room: 'r',
    epoch: 1,
    offset,
    you,
    doing: QUIET,
    events: events.map((event, index) => ({ offset: offset + index, at: 0, event })),
  };
}

function told(seance: Seance | null, ...events: (SeanceEvent | null)[]): Seance {
  let now = seance ?? reduce(null, enter(0));
  for (const event of events) {
    const offset: number = now?.next ?? 0;
    now = reduce(now, { type: 'seance_event', room: 'r', offset, at: 0, event });
  }
  if (!now) throw new Error('nowhere');
  return now;
}

const sat = (member: number): SeanceEvent => ({ type: 'sat', member });
const asked = (question: number, text: string): SeanceEvent => ({
  type: 'asked',
  question,
  member: 0,
  put: 'typed',
  text,
  language: 'en',
  inner: null,
  seed: 7,
  seed_from: 'dice',
});
const said = (line: number, text: string): SeanceEvent => ({
  type: 'said',
  line,
  question: 1,
  part: 0,
  text,
  language: 'en',
  inner: null,
  tongue: 'own',
});
const caption = (line: number, clause: number, words: string[]): ToClient => ({
  type: 'caption',
  room: 'r',
  line,
  clause,
  from: clause * 100,
  samples: 100,
  rate: 24_000,
  unlike: false,
  words: words.map((text, at) => ({
    text,
    from: clause * 100 + at * 10,
    to: clause * 100 + at * 10 + 9,
  })),
});
const texts = (seance: Seance) => JSON.stringify(seance.turns);

describe('a séance on the page', () => {
  it('counts an event once and asks for what is missing', () => {
    const seance = told(null, sat(0), asked(1, 'Who?'));
    const again = reduce(seance, {
      type: 'seance_event',
      room: 'r',
      offset: 1,
      at: 0,
      event: asked(1, 'Who?'),
    });
    expect(again?.turns).toHaveLength(1);
    const gap = reduce(seance, {
      type: 'seance_event',
      room: 'r',
      offset: 9,
      at: 0,
      event: sat(2),
    });
    expect(gap?.gap).toBe(true);
    expect(gap?.sitters).toEqual([0]);
  });

  it('knows who sits', () => {
    expect(sits(told(null))).toBe(false);
    const seance = told(null, sat(0));
    expect(sits(seance)).toBe(true);
    const gone = told(seance, { type: 'left', member: 0, why: 'idle' });
    expect(sits(gone)).toBe(false);
    expect(gone.you).toBeNull();
  });

  it('forgets what was said when the sitting is over', () => {
    const seance = told(null, sat(0), asked(1, 'secret'), said(1, 'secret'));
    expect(texts(told(seance, sat(3)))).not.toContain('secret');
    expect(texts(told(seance, { type: 'left', member: 0, why: 'wanted' }))).not.toContain('secret');
    expect(texts(told(seance, { type: 'left', member: 5, why: 'wanted' }))).toContain('secret');
  });

  it('forgets what was not heard when the spirit is silenced', () => {
    const seance = told(
      null,
      sat(0),
      asked(1, 'Who?'),
      said(1, 'I was a user.'),
      said(2, 'Not heard.'),
      { type: 'heard', line: 1, words: 2 },
      { type: 'listening', member: 0, utterance: 1 },
    );
    expect(seance.turns).toHaveLength(2);
    const line = lineOf(seance, 1);
    expect(line?.cut).toBe(true);
    expect(line && readable(line, 99)).toEqual(['I', 'was']);
    expect(seance.speaking).toBe(0);
    const late = reduce(seance, caption(1, 0, ['I', 'was', 'a', 'user.']));
    expect(late && lineOf(late, 1)?.captions.words).toEqual([]);
  });

  it('a line that could not take on the voice of its asker tells so, also when it is known whole', () => {
    const like = reduce(told(null, sat(0), asked(1, 'Who?')), caption(1, 0, ['I']));
    expect(like && lineOf(like, 1)?.unlike).toBe(false);
    const unlike = reduce(like, { ...caption(1, 1, ['am.']), unlike: true } as ToClient);
    expect(unlike && lineOf(unlike, 1)?.unlike).toBe(true);
    expect(lineOf(told(unlike, said(1, 'I am.')), 1)?.unlike).toBe(true);
  });

  it('hearing a line means that those before it were heard', () => {
    const seance = told(null, sat(0), asked(1, 'Who?'), said(1, 'a b c'), said(2, 'd e'), {
      type: 'heard',
      line: 2,
      words: 1,
    });
    expect(lineOf(seance, 1)?.heard).toBe(3);
    expect(lineOf(seance, 2)?.heard).toBe(1);
  });

  it('reads a line along while it is spoken, also before it is known whole', () => {
    let seance = told(null, sat(0), asked(1, 'Who?'));
    seance = reduce(seance, caption(1, 0, ['I', 'was']))!;
    const line = lineOf(seance, 1)!;
    expect(readable(line, 1)).toEqual(['I']);
    seance = told(seance, said(1, 'I was here.'));
    expect(seance.turns).toHaveLength(2);
    seance = reduce(seance, caption(1, 1, ['here.']))!;
    seance = reduce(seance, { type: 'line_over', room: 'r', line: 1 })!;
    expect(lineOf(seance, 1)?.captions).toMatchObject({ over: true, clauses: [2, 3] });
    expect(readable(lineOf(seance, 1)!, 3)).toEqual(['I', 'was', 'here.']);
  });

  it('a veiled event is counted and says nothing', () => {
    const seance = told(null, sat(3), null, null);
    expect(seance.next).toBe(3);
    expect(seance.turns).toEqual([]);
  });

  it('comes back where it was, or anew', () => {
    const seance = told(null, sat(0), asked(1, 'Who?'));
    const back = reduce(seance, enter(0, 2, [said(1, 'Me.')]))!;
    expect(back.turns).toHaveLength(2);
    const anew = reduce(seance, enter(0, 9, [sat(4)]))!;
    expect(anew.turns).toEqual([]);
    expect(anew.next).toBe(10);
    expect(reduce(seance, { type: 'waiting', room: 'x', place: 1, waiting: 1, taken: true })).toBe(
      seance,
    );
  });
});
