/** A draft outlives a reload and a dead line. */
const key = (room: string, round: number) => `parlour.draft.${room}.${round}`;

export function readDraft(room: string, round: number): string {
  try {
    return sessionStorage.getItem(key(room, round)) ?? '';
  } catch {
    return '';
  }
}

export function keepDraft(room: string, round: number, text: string): void {
  try {
    if (text) sessionStorage.setItem(key(room, round), text);
    else sessionStorage.removeItem(key(room, round));
  } catch {
    // Storage may be full or forbidden: the draft then lives as long as the page.
  }
}
