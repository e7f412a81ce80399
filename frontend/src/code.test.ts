import { describe, expect, it } from 'vitest';

import { isTable, tableCode } from './code';

describe('a table’s code', () => {
  it('is understood however it was typed', () => {
    for (const typed of ['7K3M-9QXT', '7k3m9qxt', ' 7k3m 9qxt ', '7K3-M9Q-XT']) {
      expect(tableCode(typed)).toBe('7K3M-9QXT');
    }
    expect(tableCode('oil0-oil1')).toBe('0110-0111');
  });

  it('is nothing else', () => {
    for (const typed of ['', '7K3M', '7K3M-9QXTA', '7K3M-9QX!', 'UUUU-UUUU']) {
      expect(tableCode(typed)).toBeNull();
    }
    expect(isTable('9f86d081884c7d659a2feaa0c55ad015')).toBe(false);
  });
});
