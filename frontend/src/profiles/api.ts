/** What the pages of the dead profiles ask the house for. */
import type { GateState } from '../wire/GateState';
import type { Profile } from '../wire/Profile';
import type { Profiles } from '../wire/Profiles';
import { recordingOf, type Recording } from './movement';

/** Recordings that ship; see dev/make-movements.mjs. */
const MOVEMENTS = ['first', 'second', 'third'];

async function json(path: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(path, { signal });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** How the gate stands for this browser. Throws when the house does not answer. */
export const fetchGate = async (signal: AbortSignal): Promise<GateState> =>
  (await json('/api/gate', signal)) as GateState;

/** All profiles. Throws when they cannot be had. */
export const fetchProfiles = async (signal: AbortSignal): Promise<Profiles> =>
  (await json('/api/seance/profiles', signal)) as Profiles;

const at = (id: string) => `/api/seance/profiles/${encodeURIComponent(id)}`;

/** A written profile. Throws when it cannot be had. */
export const fetchProfile = async (id: string, signal: AbortSignal): Promise<Profile> =>
  (await json(at(id), signal)) as Profile;

/** Where a saved page is. */
export const pageOf = (id: string): string => `${at(id)}/page`;

/** The recordings that can be had and read. */
export async function fetchMovements(signal: AbortSignal): Promise<Recording[]> {
  const one = async (name: string) => recordingOf(await json(`/movements/${name}.json`, signal));
  const asked = await Promise.allSettled(MOVEMENTS.map(one));
  return asked.flatMap((answer) =>
    answer.status === 'fulfilled' && answer.value ? [answer.value] : [],
  );
}
