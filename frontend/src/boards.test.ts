import { afterEach, describe, expect, it, vi } from 'vitest';

import { eraseFromBoards, fetchBoards, percent } from './boards';
import { fetchMachines, machineId } from './machines';

const EMPTY = { people: [], machines: [], judges: [] };

/** Answers every request with this, and keeps what was asked. */
function answering(status: number, body: unknown) {
  const asked = vi.fn((_url: string, _init?: RequestInit) =>
    Promise.resolve(new Response(JSON.stringify(body), { status })),
  );
  vi.stubGlobal('fetch', asked);
  return asked;
}
const { signal } = new AbortController();
afterEach(() => vi.unstubAllGlobals());

describe('the boards', () => {
  it('are asked for as the one who looks, if the house knows them', async () => {
    const asked = answering(200, EMPTY);
    expect(await fetchBoards('secret', signal)).toEqual(EMPTY);
    expect(await fetchBoards(null, signal)).toEqual(EMPTY);
    const headers = asked.mock.calls.map(([, init]) => init?.headers);
    expect(headers).toEqual([{ authorization: 'Bearer secret' }, {}]);
  });

  it('never name the session in an address', async () => {
    const asked = answering(200, { erased: true });
    expect(await eraseFromBoards('secret')).toBe(true);
    const [url, init] = asked.mock.calls[0] ?? [];
    expect(url).toBe('/api/boards/me');
    expect(init?.method).toBe('DELETE');
  });

  it('are not there when the house fails or is away', async () => {
    answering(503, { error: 'the store cannot be read now' });
    expect(await fetchBoards(null, signal)).toBeNull();
    expect(await eraseFromBoards('secret')).toBeNull();
    expect(await fetchMachines(signal)).toBeNull();
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('no line')));
    expect(await fetchBoards(null, signal)).toBeNull();
    expect(await eraseFromBoards('secret')).toBeNull();
    expect(await fetchMachines(signal)).toBeNull();
  });

  it('show shares as whole percents', () => {
    expect([0, 0.004, 0.495, 2 / 3, 1].map(percent)).toEqual([
      '0 %',
      '0 %',
      '50 %',
      '67 %',
      '100 %',
    ]);
  });
});

describe('machines', () => {
  it('have one name each, whatever personas are called', () => {
    const all = [{ is: 'model' }, { is: 'eliza' }, { is: 'persona', name: 'eliza' }] as const;
    expect(new Set(all.map(machineId)).size).toBe(all.length);
  });
});
