/** The machines that can be set up to play at a table. */
import type { Machine } from './wire/Machine';

/** What every house has. */
export const ALWAYS: Machine[] = [{ is: 'model' }, { is: 'eliza' }];

/** Everybody in this house; null when that cannot be known now. */
export async function fetchMachines(signal: AbortSignal): Promise<Machine[] | null> {
  try {
    const response = await fetch('/api/machines', { signal });
    return response.ok ? ((await response.json()) as Machine[]) : null;
  } catch {
    return null;
  }
}

/** Names one machine among others. */
export const machineId = (machine: Machine): string =>
  machine.is === 'persona' ? `persona:${machine.name}` : machine.is;
