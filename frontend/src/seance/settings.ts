/** What this browser keeps of how somebody sits. */
import { EFFECTS, type Effect } from './effects';
import { isLanguage, type Language } from './strings';

const KEY = 'parlour.spirit-box';

export const SILENCES = [600, 900, 1500, 0] as const;
export type Silence = (typeof SILENCES)[number];

export interface Settings {
  language: Language;
  effect: Effect;
  talk: 'hold' | 'toggle';
  /** The browser notices when somebody speaks. */
  notices: boolean;
  /** Silence that ends a question which a press began, milliseconds; 0: another press does. */
  silence: Silence;
  camera: boolean;
  sound: boolean;
}

/** What was kept, then what the address says, then what the browser speaks. */
export function settings(search: string): Settings {
  const asked = new URLSearchParams(search);
  const kept = read();
  const spoken = navigator.language.slice(0, 2);
  const language = [asked.get('lang'), kept.language, spoken].find(isLanguage) ?? 'en';
  const wanted = asked.get('effect') ?? kept.effect;
  return {
    language,
    effect: EFFECTS.find((effect) => effect === wanted) ?? 'crypt',
    talk: kept.talk === 'toggle' ? 'toggle' : 'hold',
    notices: kept.notices !== false,
    silence: SILENCES.find((silence) => silence === kept.silence) ?? 900,
    camera: asked.has('camera') || kept.camera === true,
    sound: kept.sound !== false,
  };
}

export function keep(now: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(now));
  } catch {
    // Storage may be full or forbidden: they then hold as long as the page.
  }
}

function read(): Partial<Settings> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return typeof kept === 'object' && kept !== null ? kept : {};
  } catch {
    return {};
  }
}
