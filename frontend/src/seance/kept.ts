/**
 * What was said, to take away: as text in the page's language, or as the server writes it.
 * Only what was heard of the spirit is in it.
 */
import type { Member } from '../wire/Member';
import type { SeanceTranscript } from '../wire/SeanceTranscript';
import type { TranscriptTurn } from '../wire/TranscriptTurn';
import type { Language, Strings } from './strings';

export const FORMS = ['txt', 'json', 'csv'] as const;
export type Form = (typeof FORMS)[number];

/** The sitting of now in this form; null when it cannot be had. */
export async function transcriptAs(
  form: Form,
  room: string,
  session: string | null,
  t: Strings,
  language: Language,
): Promise<Blob | null> {
  const format = form === 'csv' ? 'csv' : 'json';
  const address = `/api/seance/transcript/${encodeURIComponent(room)}?format=${format}`;
  try {
    const response = await fetch(address, {
      headers: session ? { authorization: `Bearer ${session}` } : {},
      cache: 'no-store',
    });
    if (!response.ok) return null;
    if (form !== 'txt') return await response.blob();
    const transcript = (await response.json()) as SeanceTranscript;
    return new Blob([written(transcript, t, language)], { type: 'text/plain;charset=utf-8' });
  } catch {
    return null;
  }
}

/** Hands a file to whoever looks at the page. */
export function handOver(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A transcript to be read. `zone` is where the clock hangs; the browser's own without it. */
export function written(
  { you, turns }: SeanceTranscript,
  t: Strings,
  language: Language,
  zone?: string,
): string {
  const where = zone === undefined ? {} : { timeZone: zone };
  const day = new Intl.DateTimeFormat(language, { dateStyle: 'long', ...where });
  const clock = new Intl.DateTimeFormat(language, { timeStyle: 'medium', ...where });
  const first = turns[0];
  const heading = first ? `${t.title}, ${day.format(first.at)}` : t.title;
  const blocks = turns.map((turn) => `${clock.format(turn.at)}  ${block(turn, you, t)}`);
  return [heading, ...blocks].join('\n\n') + '\n';
}

function block(turn: TranscriptTurn, you: Member | null, t: Strings): string {
  const language = t.languages[turn.language] ?? turn.language;
  if (turn.is === 'said') return `${t.spirit} (${language})\n${turn.text}${turn.cut ? ' —' : ''}`;
  const seed = turn.seed_from === 'camera' ? t.seedCamera(turn.seed) : t.seedDice(turn.seed);
  const who = turn.member === you ? t.you : t.sitter(turn.member + 1);
  return `${who} (${language}; ${t.puts[turn.put]}; ${seed})\n> ${turn.text}`;
}
