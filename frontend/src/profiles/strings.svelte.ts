/** What the pages of the dead profiles say, in three languages. */
export const LANGUAGES = { en: 'English', de: 'Deutsch', ru: 'Русский' } as const;
export type Language = keyof typeof LANGUAGES;

const en = {
  title: 'Dead profiles',
  skip: 'Skip to the profile',
  language: 'Language',
  loading: 'Looking for the dead…',
  failed: 'The profiles cannot be brought now.',
  again: 'Try again',
  none: 'No profile lies here.',
  missing: 'This profile cannot be read.',
  pause: 'Pause',
  play: 'Go on',
  previous: 'Back',
  next: 'Next',
  still: 'Nothing moves, as your system asks for.',
  keys: 'Space pauses. The arrow keys go back and on.',
  controls: 'What is shown',
  saved: 'A saved page',
  savedLabel: (name: string) => `The saved page of ${name}`,
  now: (name: string, site: string, first: number, last: number) =>
    `${name}, ${site}, ${first} to ${last}.`,
  nowSaved: (name: string) => `${name}, a saved page.`,
  gate: {
    title: 'This room is locked.',
    label: 'Password',
    hint: 'What you type is not shown.',
    open: 'Open',
    opening: 'Listening…',
    wrong: 'That is not the password.',
    wait: (seconds: number) => `Too many were wrong. Wait ${seconds} s, then try again.`,
    trouble: 'The house does not answer. Try again.',
  },
  record: {
    link: 'Record a movement',
    back: 'To the profiles',
    title: 'Record a movement',
    lead: 'Move the mouse and scroll as you would when you read somebody’s page. What is recorded is where the pointer was and how far the page was scrolled, nothing else, and it stays in this browser until you save it.',
    advice: 'One to three minutes make three or four segments.',
    start: 'Begin',
    stop: 'End',
    save: 'Save the file',
    running: (seconds: number) => `Recording, ${seconds} s`,
    done: (seconds: number, moves: number, turns: number) =>
      `${seconds} s with ${moves} places of the pointer and ${turns} of the page.`,
    short: 'This is too short for a segment; record half a minute at least.',
    area: 'The page to be read',
  },
};

type Strings = typeof en;

const de: Strings = {
  title: 'Tote Profile',
  skip: 'Zum Profil springen',
  language: 'Sprache',
  loading: 'Die Toten werden gesucht…',
  failed: 'Die Profile lassen sich gerade nicht holen.',
  again: 'Noch einmal',
  none: 'Hier liegt kein Profil.',
  missing: 'Dieses Profil lässt sich nicht lesen.',
  pause: 'Anhalten',
  play: 'Weiter',
  previous: 'Zurück',
  next: 'Nächstes',
  still: 'Nichts bewegt sich, wie Ihr System es verlangt.',
  keys: 'Die Leertaste hält an, die Pfeiltasten blättern.',
  controls: 'Was gezeigt wird',
  saved: 'Eine gespeicherte Seite',
  savedLabel: (name) => `Die gespeicherte Seite von ${name}`,
  now: (name, site, first, last) => `${name}, ${site}, ${first} bis ${last}.`,
  nowSaved: (name) => `${name}, eine gespeicherte Seite.`,
  gate: {
    title: 'Dieser Raum ist verschlossen.',
    label: 'Passwort',
    hint: 'Was Sie tippen, wird nicht gezeigt.',
    open: 'Öffnen',
    opening: 'Es wird gelauscht…',
    wrong: 'Das ist nicht das Passwort.',
    wait: (seconds) => `Zu viele waren falsch. Warten Sie ${seconds} s, dann noch einmal.`,
    trouble: 'Das Haus antwortet nicht. Noch einmal versuchen.',
  },
  record: {
    link: 'Eine Bewegung aufnehmen',
    back: 'Zu den Profilen',
    title: 'Eine Bewegung aufnehmen',
    lead: 'Bewegen Sie die Maus und scrollen Sie, als läsen Sie jemandes Seite. Aufgenommen wird, wo der Zeiger war und wie weit die Seite gescrollt war, sonst nichts; es bleibt in diesem Browser, bis Sie es speichern.',
    advice: 'Ein bis drei Minuten ergeben drei oder vier Abschnitte.',
    start: 'Anfangen',
    stop: 'Beenden',
    save: 'Datei speichern',
    running: (seconds) => `Aufnahme läuft, ${seconds} s`,
    done: (seconds, moves, turns) =>
      `${seconds} s mit ${moves} Orten des Zeigers und ${turns} der Seite.`,
    short: 'Das ist für einen Abschnitt zu kurz; nehmen Sie mindestens eine halbe Minute auf.',
    area: 'Die Seite zum Lesen',
  },
};

const ru: Strings = {
  title: 'Мёртвые профили',
  skip: 'К профилю',
  language: 'Язык',
  loading: 'Ищем мёртвых…',
  failed: 'Профили сейчас не получить.',
  again: 'Ещё раз',
  none: 'Здесь нет ни одного профиля.',
  missing: 'Этот профиль не прочесть.',
  pause: 'Остановить',
  play: 'Дальше',
  previous: 'Назад',
  next: 'Следующий',
  still: 'Ничего не движется, как просит ваша система.',
  keys: 'Пробел останавливает, стрелки листают.',
  controls: 'Что показано',
  saved: 'Сохранённая страница',
  savedLabel: (name) => `Сохранённая страница: ${name}`,
  now: (name, site, first, last) => `${name}, ${site}, с ${first} по ${last}.`,
  nowSaved: (name) => `${name}, сохранённая страница.`,
  gate: {
    title: 'Эта комната заперта.',
    label: 'Пароль',
    hint: 'Набранное не показывается.',
    open: 'Открыть',
    opening: 'Слушаем…',
    wrong: 'Это не пароль.',
    wait: (seconds) => `Слишком много неверных. Подождите ${seconds} с и попробуйте снова.`,
    trouble: 'Дом не отвечает. Попробуйте ещё раз.',
  },
  record: {
    link: 'Записать движение',
    back: 'К профилям',
    title: 'Записать движение',
    lead: 'Двигайте мышью и листайте, как будто читаете чью-то страницу. Записывается, где был указатель и насколько прокручена страница, больше ничего; запись остаётся в этом браузере, пока вы её не сохраните.',
    advice: 'Из одной–трёх минут получается три-четыре отрезка.',
    start: 'Начать',
    stop: 'Закончить',
    save: 'Сохранить файл',
    running: (seconds) => `Идёт запись, ${seconds} с`,
    done: (seconds, moves, turns) =>
      `${seconds} с: мест указателя ${moves}, мест страницы ${turns}.`,
    short: 'Для отрезка это слишком мало; запишите хотя бы полминуты.',
    area: 'Страница для чтения',
  },
};

const TEXTS: Record<Language, Strings> = { en, de, ru };
const KEEP = 'parlour-language';

const isLanguage = (code: string | null | undefined): code is Language =>
  code === 'en' || code === 'de' || code === 'ru';

/** The first of these that there is a text for: the address, what was chosen, the browser's. */
export function languageOf(wanted: readonly (string | null | undefined)[]): Language {
  const codes = wanted.map((tag) => tag?.toLowerCase().split('-')[0]);
  return codes.find(isLanguage) ?? 'en';
}

function kept(): string | null {
  try {
    return localStorage.getItem(KEEP);
  } catch {
    return null;
  }
}

class Tongue {
  code = $state<Language>(
    languageOf([new URLSearchParams(location.search).get('lang'), kept(), ...navigator.languages]),
  );
  readonly t: Strings = $derived(TEXTS[this.code]);

  choose(code: Language): void {
    this.code = code;
    try {
      localStorage.setItem(KEEP, code);
    } catch {
      // It holds for this page then.
    }
  }
}

export const tongue = new Tongue();

const period = {
  en: {
    visitors: 'visitors since the beginning',
    guestbook: 'News & guestbook',
    links: 'Links',
    wall: 'Wall',
    information: 'Information',
    about: 'About me',
    wrote: (by: string) => `${by} wrote:`,
    likes: (count: number) => (count === 1 ? '1 person likes this' : `${count} people like this`),
    stars: (count: number) => `★ ${count}`,
    posts: 'What was said last',
  },
  de: {
    visitors: 'Besucher seit Beginn',
    guestbook: 'Neuigkeiten & Gästebuch',
    links: 'Verweise',
    wall: 'Pinnwand',
    information: 'Angaben',
    about: 'Über mich',
    wrote: (by: string) => `${by} schrieb:`,
    likes: (count: number) => (count === 1 ? 'Gefällt einer Person' : `Gefällt ${count} Personen`),
    stars: (count: number) => `★ ${count}`,
    posts: 'Zuletzt gesagt',
  },
  ru: {
    visitors: 'посетителей с самого начала',
    guestbook: 'Новости и гостевая книга',
    links: 'Ссылки',
    wall: 'Стена',
    information: 'Информация',
    about: 'О себе',
    wrote: (by: string) => `${by}:`,
    likes: (count: number) => `Понравилось: ${count}`,
    stars: (count: number) => `★ ${count}`,
    posts: 'Последнее',
  },
};

/** What the places themselves said, in the language of what is written there. */
export const periodOf = (language: string) => period[languageOf([language])];
