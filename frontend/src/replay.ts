/** The record of a finished game. */
export interface Record<E> {
  room: string;
  epoch: number;
  /** The log, nothing veiled. */
  events: E[];
}

export type Found<E> = { is: 'found'; record: Record<E> } | { is: 'missing' } | { is: 'failed' };

export async function fetchReplay<E>(room: string, signal: AbortSignal): Promise<Found<E>> {
  try {
    const response = await fetch(`/api/replay/${encodeURIComponent(room)}`, {
      headers: { accept: 'application/json' },
      signal,
    });
    // Not there, not finished yet, or not a room's name at all.
    if ([400, 403, 404, 409, 410].includes(response.status)) return { is: 'missing' };
    if (!response.ok) return { is: 'failed' };
    return { is: 'found', record: (await response.json()) as Record<E> };
  } catch {
    return { is: 'failed' };
  }
}
