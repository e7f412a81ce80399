/** A draft outlives a reload and a dead line. `part`: what of the room it is for. */
const key = (room: string, part: string | number) => `parlour.draft.${room}.${part}`;

export function readDraft(room: string, part: string | number): string {
  try {
    return sessionStorage.getItem(key(room, part)) ?? '';
  } catch {
    return '';
  }
}

export function keepDraft(room: string, part: string | number, text: string): void {
  try {
    if (text) sessionStorage.setItem(key(room, part), text);
    else sessionStorage.removeItem(key(room, part));
  } catch {
    // Storage may be full or forbidden: the draft then lives as long as the page.
  }
}
