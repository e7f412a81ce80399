import { describe, expect, it } from 'vitest';

import { LOOKS, Pulse } from './pulse';

describe('the clock of the sound', () => {
  it('goes on being believed while it moves, however slowly', () => {
    const pulse = new Pulse();
    for (let look = 0; look < 100; look += 1) {
      expect(pulse.stands(Math.floor(look / LOOKS) * 0.01)).toBe(false);
    }
  });

  it('stands when it did not move for some looks, and goes on as soon as it does', () => {
    const pulse = new Pulse();
    const looks = Array.from({ length: LOOKS + 2 }, () => pulse.stands(0));
    expect(looks.indexOf(true)).toBe(LOOKS);
    expect(looks.at(-1)).toBe(true);
    expect(pulse.stands(0.02)).toBe(false);
  });
});
