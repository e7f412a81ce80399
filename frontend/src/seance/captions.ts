/**
 * Which word of a line sounds now, and how many were heard: from the captions, whose words
 * say at which samples they sound.
 */
import type { CaptionWord } from '../wire/CaptionWord';

export interface Captions {
  words: CaptionWord[];
  /** Words up to the end of each clause. */
  clauses: number[];
  /** Samples up to the end of the last clause. */
  samples: number;
  /** Samples per second. */
  rate: number;
  /** All clauses came. */
  over: boolean;
}

export const NONE: Captions = { words: [], clauses: [], samples: 0, rate: 0, over: false };

/**
 * With one more clause. One that came before changes nothing, but for the first: with it a
 * line is voiced anew, after the house was away.
 */
export function withClause(
  captions: Captions,
  clause: { clause: number; words: CaptionWord[]; from: number; samples: number; rate: number },
): Captions {
  if (clause.clause === 0 && captions.clauses.length > 0) return withClause(NONE, clause);
  if (clause.clause !== captions.clauses.length) return captions;
  const words = [...captions.words, ...clause.words];
  return {
    words,
    clauses: [...captions.clauses, words.length],
    samples: clause.from + clause.samples,
    rate: clause.rate,
    over: captions.over,
  };
}

/** Words that have begun to sound when so many samples were played: what may be read. */
export function begun({ words }: Captions, played: number): number {
  const next = words.findIndex((word) => word.from >= played);
  return next < 0 ? words.length : next;
}

/**
 * Samples of a word that may be missing: what was played is counted at the loudspeaker's own
 * rate, and a line is a whole number of samples there too.
 */
const ROUNDED = 1;

/** Words that were played to their end: what was heard. */
export function heard({ words }: Captions, played: number): number {
  const next = words.findIndex((word) => word.to > played + ROUNDED);
  return next < 0 ? words.length : next;
}

/** The word that sounds, by its place; null between words and outside. */
export function sounding({ words }: Captions, played: number): number | null {
  const at = words.findIndex((word) => word.from <= played && played < word.to);
  return at < 0 ? null : at;
}

/** Whether a clause ends between two numbers of words. */
export function passesClause({ clauses }: Captions, before: number, after: number): boolean {
  return clauses.some((end) => before < end && end <= after);
}

/** Whether every word of the whole line was heard. */
export function isHeard(captions: Captions, words: number): boolean {
  return captions.over && words >= captions.words.length;
}

/** How long a reader needs for a word, milliseconds: 200 words a minute, long ones longer. */
export function readingTime(word: string): number {
  return 160 + 28 * [...word].length;
}
