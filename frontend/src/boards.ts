/** The leaderboards, and the way off them. */
import type { Boards } from './wire/Boards';
import type { Erased } from './wire/Erased';

const as = (session: string | null) => (session ? { authorization: `Bearer ${session}` } : {});

/** The boards, with the rows of `session` marked; null when they cannot be had. */
export async function fetchBoards(
  session: string | null,
  signal: AbortSignal,
): Promise<Boards | null> {
  try {
    const response = await fetch('/api/boards', { headers: as(session), signal });
    return response.ok ? ((await response.json()) as Boards) : null;
  } catch {
    return null;
  }
}

/** Takes the person of `session` off every board: whether there was anything, or null when it failed. */
export async function eraseFromBoards(session: string): Promise<boolean | null> {
  try {
    const response = await fetch('/api/boards/me', { method: 'DELETE', headers: as(session) });
    return response.ok ? ((await response.json()) as Erased).erased : null;
  } catch {
    return null;
  }
}

export const percent = (share: number): string => `${Math.round(share * 100)} %`;
