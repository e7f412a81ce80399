const ROMAN = ['0', 'I', 'II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X'];
/** Rounds are counted as on a clock's face. */
export const roman = (n: number) => ROMAN[n] ?? String(n);
