import { describe, expect, it } from 'vitest';

import { written } from './kept';
import { LANGUAGES, STRINGS } from './strings';
import type { SeanceTranscript } from '../wire/SeanceTranscript';

const NOON = Date.UTC(2026, 10, 22, 12, 0, 5);

const TRANSCRIPT: SeanceTranscript = {
  room: 'seance-1',
  you: 3,
  turns: [
    {
      is: 'asked',
      at: NOON,
      question: 1,
      member: 3,
      put: 'spoken',
      text: 'Where are you?',
      language: 'en',
      seed: 42,
      seed_from: 'camera',
    },
    {
      is: 'said',
      at: NOON + 2000,
      line: 1,
      question: 1,
      part: 0,
      text: 'Still in the',
      language: 'en',
      tongue: 'own',
      cut: true,
    },
    {
      is: 'asked',
      at: NOON + 9000,
      question: 2,
      member: 5,
      put: 'typed',
      text: 'Wo?',
      language: 'eo',
      seed: 7,
      seed_from: 'dice',
    },
  ],
};

describe('a transcript that is taken away', () => {
  it('says who asked what, how, when and with which seed, and where the spirit was cut off', () => {
    expect(written(TRANSCRIPT, STRINGS.en, 'en', 'UTC').replaceAll('\u202f', ' ')).toBe(
      [
        'Spirit box, November 22, 2026',
        '12:00:05 PM  You (English; spoken; seed 42, from the camera)\n> Where are you?',
        '12:00:07 PM  The spirit (English)\nStill in the —',
        '12:00:14 PM  Sitter 6 (eo; typed; seed 7, from dice)\n> Wo?\n',
      ].join('\n\n'),
    );
  });

  it('is written in every language of the page', () => {
    for (const language of LANGUAGES) {
      const t = STRINGS[language];
      const text = written(TRANSCRIPT, t, language, 'UTC');
      for (const part of [t.title, t.you, t.spirit, t.sitter(6), t.puts.typed, '2026']) {
        expect(text).toContain(part);
      }
    }
  });

  it('of one who watches it calls nobody "you"', () => {
    const text = written({ ...TRANSCRIPT, you: null }, STRINGS.en, 'en', 'UTC');
    expect(text).not.toContain('You');
    expect(text).toContain('Sitter 4');
  });

  it('is a title where nothing was heard', () => {
    expect(written({ ...TRANSCRIPT, turns: [] }, STRINGS.en, 'en')).toBe('Spirit box\n');
  });
});
