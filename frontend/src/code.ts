/**
 * A table's code: eight characters, shown as `7K3M-9QXT`. People read codes aloud and type
 * them as they like, so case, dashes and spaces do not matter, and O, I and L are digits.
 */
const SHOWN = /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/;

/** Whether `room` is a table and not a game for two. */
export const isTable = (room: string): boolean => SHOWN.test(room);

/** The code in the form that is shown, or null if it cannot be one. */
export function tableCode(typed: string): string | null {
  const plain = typed.toUpperCase().replace(/[\s-]/g, '').replace(/O/g, '0').replace(/[IL]/g, '1');
  const code = `${plain.slice(0, 4)}-${plain.slice(4)}`;
  return isTable(code) ? code : null;
}
