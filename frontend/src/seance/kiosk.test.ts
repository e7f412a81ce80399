import { describe, expect, it } from 'vitest';

import { GONE_MS, RELOAD_MS, step, type Watch } from './kiosk';

const somebody: Watch = {
  busy: false,
  sitting: true,
  attracting: false,
  broken: false,
  stirred: 0,
  brokenSince: null,
};

describe('an unattended machine', () => {
  it('is made ready when nobody stirs, later when the spirit is still speaking', () => {
    expect(step(somebody, GONE_MS - 1)).toBe('nothing');
    expect(step(somebody, GONE_MS)).toBe('attract');
    expect(step({ ...somebody, busy: true }, GONE_MS)).toBe('nothing');
    expect(step({ ...somebody, busy: true }, 2 * GONE_MS)).toBe('attract');
  });

  it('is made ready soon when the sitter got up', () => {
    expect(step({ ...somebody, sitting: false }, 5_000)).toBe('attract');
  });

  it('attracts until somebody comes', () => {
    expect(step({ ...somebody, attracting: true }, 1e9)).toBe('nothing');
  });

  it('loads itself anew when it is broken, whatever it shows', () => {
    const broken = { ...somebody, broken: true, brokenSince: 1000, attracting: true };
    expect(step(broken, 1000 + RELOAD_MS - 1)).toBe('nothing');
    expect(step(broken, 1000 + RELOAD_MS)).toBe('reload');
  });
});
