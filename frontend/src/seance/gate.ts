/** The gate: whether this browser may come in, and the password that lets it. */
import type { GateState } from '../wire/GateState';

export type Answer =
  | { is: 'open' }
  | { is: 'wrong' }
  /** Not looked at: seconds to wait. */
  | { is: 'later'; seconds: number }
  | { is: 'trouble' };

export async function state(): Promise<GateState | null> {
  try {
    const response = await fetch('/api/gate', { cache: 'no-store' });
    return response.ok ? ((await response.json()) as GateState) : null;
  } catch {
    return null;
  }
}

export async function say(password: string): Promise<Answer> {
  try {
    const response = await fetch('/api/gate', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ password }),
    });
    if (response.ok) return { is: 'open' };
    if (response.status === 401) return { is: 'wrong' };
    if (response.status === 429 || response.status === 503) {
      const seconds = Number(response.headers.get('retry-after'));
      return { is: 'later', seconds: Number.isFinite(seconds) && seconds > 0 ? seconds : 5 };
    }
    return { is: 'trouble' };
  } catch {
    return { is: 'trouble' };
  }
}
