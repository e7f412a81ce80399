/** The record of a finished game. */
import type { Entry } from './room';

export interface Record {
  room: string;
  epoch: number;
  events: Entry[];
}

export type Found = { is: 'found'; record: Record } | { is: 'missing' } | { is: 'failed' };

export async function fetchReplay(room: string, signal: AbortSignal): Promise<Found> {
  try {
    const response = await fetch(`/api/replay/${encodeURIComponent(room)}`, {
      headers: { accept: 'application/json' },
      signal,
    });
    // Not there, not finished yet, or not a room's name at all.
    if ([400, 403, 404, 409, 410].includes(response.status)) return { is: 'missing' };
    if (!response.ok) return { is: 'failed' };
    return { is: 'found', record: (await response.json()) as Record };
  } catch {
    return { is: 'failed' };
  }
}
