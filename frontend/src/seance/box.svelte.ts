/** The spirit box: where the line, the microphone, the loudspeaker and the page meet. */
import type { Reply, Request } from '../connection';
import { house, type Visit } from '../house.svelte';
import type { ToClient } from '../wire/ToClient';
import { Camera } from './camera';
import { begun, heard, isHeard, passesClause, readingTime, sounding } from './captions';
import { decode, VOICE } from './frames';
import { Microphone } from './microphone';
import { Notice } from './notice.svelte';
import { EACH_MS, Pulse } from './pulse';
import { lineOf, reduce, sits, wordsOf, type Said, type Seance } from './seance';
import { keep, settings, type Settings } from './settings';
import { STRINGS } from './strings';
import { Voice } from './voice';

const AGAIN_MS = 2000;

/** What of which line is being read or heard. */
interface Playing {
  line: number;
  /** Words that may be read. */
  words: number;
  /** The word that sounds. */
  word: number | null;
}

class Box implements Visit {
  settings = $state.raw<Settings>(settings(location.search));
  seance = $state.raw<Seance | null>(null);
  playing = $state.raw<Playing>({ line: 0, words: 0, word: null });
  /** The gate's cookie is missing or no longer good. */
  locked = $state(false);
  /** The number of what is being said; null while nothing is. */
  talking = $state<number | null>(null);
  /** It was said, and is being understood. */
  understanding = $state(false);
  level = $state(0);
  /** Whether somebody speaks. */
  readonly notice = new Notice();
  /** The key was let go and nothing had been said. */
  unsaid = $state(false);
  problem = $state.raw<string | null>(null);
  /** One sat, and does not any more. */
  letGo = $state(false);
  microphone = $state.raw<'unknown' | 'there' | 'none'>('unknown');
  cameraNone = $state(false);
  /** Sound is wanted, and none comes out of this browser: lines are read. */
  soundless = $state(false);
  /** Whole lines for the screen reader, newest last. */
  told = $state.raw<{ id: number; text: string }[]>([]);

  #wants: 'nothing' | 'watch' | 'sit' = 'nothing';
  #asking = false;
  #utterance = Date.now() % 1_000_000_000;
  #context: AudioContext | null = null;
  #voice: Voice | null = null;
  #pulse: { pulse: Pulse; timer: ReturnType<typeof setInterval> } | null = null;
  /** Lines up to this one are read, for sound came back in the middle of it. */
  #readTo = 0;
  #ear: Microphone | null = null;
  #camera: Camera | null = null;
  #reported = new Map<number, number>();
  #reader: ReturnType<typeof setTimeout> | undefined;
  #nextTold = 0;

  t = $derived(STRINGS[this.settings.language]);
  sitting = $derived(this.seance !== null && sits(this.seance));
  /** A silence ends the question. */
  endsBySilence = $derived(
    this.settings.talk === 'toggle' && this.settings.silence > 0 && this.notice.able === 'there',
  );

  // ---- coming and going

  /** Comes in. To be called while the browser still counts a key or a touch as the user's. */
  async begin(want: 'watch' | 'sit'): Promise<void> {
    this.letGo = false;
    this.problem = null;
    this.locked = false;
    if (this.settings.sound) void this.#openVoice();
    if (this.#wants === 'nothing') {
      // A line from before the password does not carry its cookie.
      house.hangUp();
      house.receive(this);
      this.#wants = want;
    } else {
      this.#wants = want;
      await this.#enter();
    }
    if (want === 'sit') {
      await this.#openEar();
      await this.#openCamera();
    }
  }

  /** Gets up, and watches. */
  async getUp(): Promise<void> {
    this.#wants = 'watch';
    this.#hush();
    // What was kept from one who waited is told to one who watches: all of it comes anew.
    this.seance = null;
    await this.#enter();
    this.#closeEar();
  }

  /** The page is left. */
  leave(): void {
    this.#wants = 'nothing';
    clearTimeout(this.#reader);
    this.#closeEar();
    this.#closeVoice();
    void this.#context?.close();
    this.#context = null;
    this.seance = null;
    house.hangUp();
  }

  place(): string | null {
    return null;
  }

  comeback(): Request | null {
    if (this.#wants === 'nothing') return null;
    const held = this.seance;
    return {
      type: 'enter_seance',
      sit: this.#wants === 'sit',
      room: held?.room ?? null,
      held: held ? { epoch: held.epoch, offset: held.next } : null,
    };
  }

  resumed(reply: Reply): void {
    if (reply.is !== 'refused') return;
    if (reply.code === 'locked') {
      this.#wants = 'nothing';
      this.locked = true;
      house.hangUp();
      return;
    }
    this.#complain(reply);
    setTimeout(() => void this.#enter(), AGAIN_MS);
  }

  async #enter(): Promise<void> {
    const comeback = this.comeback();
    if (!comeback || this.#asking || !house.online) return;
    this.#asking = true;
    const reply = await house.request(comeback);
    this.#asking = false;
    this.resumed(reply);
  }

  // ---- asking

  /** The key goes down: the spirit is silent at once. */
  press(): void {
    if (!this.sitting || this.talking !== null || !this.#ear) return;
    this.#utterance += 1;
    const utterance = this.#utterance;
    this.#hush();
    this.problem = null;
    this.talking = utterance;
    this.unsaid = false;
    this.notice.begin(this.endsBySilence ? this.settings.silence : 0);
    this.wake();
    const languages = this.seance?.means?.hears ?? [];
    // The request goes out before the first frame of sound does.
    const reply = house.request({ type: 'listen', utterance, languages: [...languages] });
    this.#ear.begin(utterance);
    void reply.then((answer) => {
      if (this.#accepted(answer) || this.talking !== utterance) return;
      this.#ear?.end();
      this.#saidAll();
    });
  }

  /** The key goes up. */
  async release(): Promise<void> {
    const utterance = this.talking;
    if (utterance === null) return;
    this.#ear?.end();
    if (this.notice.unsaid) {
      this.unsaid = true;
      this.#tell(this.t.unsaid);
      await this.takeBack();
      return;
    }
    this.#saidAll();
    this.understanding = true;
    const seed = this.#camera?.seed() ?? null;
    if (!this.#accepted(await house.request({ type: 'spoken', utterance, seed }))) {
      this.understanding = false;
    }
  }

  /** What was being said is taken back. */
  async takeBack(): Promise<void> {
    const utterance = this.talking;
    if (utterance === null) return;
    this.#ear?.end();
    this.#saidAll();
    this.#accepted(await house.request({ type: 'unspoken', utterance }));
  }

  #saidAll(): void {
    this.talking = null;
    this.notice.end();
  }

  /** Whether the question was taken. */
  async ask(text: string): Promise<boolean> {
    this.#hush();
    this.wake();
    this.problem = null;
    this.unsaid = false;
    const seed = this.#camera?.seed() ?? null;
    const { language } = this.settings;
    return this.#accepted(await house.request({ type: 'question', text, language, seed }));
  }

  async hush(): Promise<void> {
    this.#hush();
    this.#accepted(await house.request({ type: 'hush' }));
  }

  /** Asks the browser to play again. To be called while it still counts a touch as the user's. */
  wake(): void {
    void this.#context?.resume();
  }

  change(part: Partial<Settings>): void {
    this.settings = { ...this.settings, ...part };
    keep(this.settings);
    if (part.effect && this.#voice) this.#voice.effect = part.effect;
    if (part.sound === true) void this.#openVoice();
    if (part.sound === false) {
      this.#closeVoice();
      this.#read();
    }
    if (part.notices === true && this.#ear) void this.notice.open();
    if (part.notices === false) this.notice.close();
    if (part.camera === true) void this.#openCamera();
    if (part.camera === false) {
      this.#camera?.close();
      this.#camera = null;
    }
  }

  // ---- hearing

  hear(message: ToClient): void {
    const before = this.seance;
    const after = reduce(before, message);
    if (!after || after === before) return;
    if (message.type === 'seance_event') this.#follow(message, before);
    if (message.type === 'caption' && message.clause === 0 && before) {
      this.#voice?.restart(message.line);
      // It is told anew because the house does not know how far it was heard.
      this.#heardWords.delete(message.line);
      this.#reported.delete(message.line);
    }
    this.seance = after;
    if (after.gap && !before?.gap) void this.#enter();
    if (after.speaking === null) this.understanding = false;
    if (before && sits(before) && !sits(after) && after.place === null) this.#gotUp();
    if (message.type === 'line_over') this.#voice?.over(message.line);
    if (message.type === 'caption' || message.type === 'seance_event') this.#read();
    this.#announce(message);
  }

  sound(bytes: ArrayBuffer): void {
    const frame = decode(bytes);
    if (!frame || frame.kind !== VOICE || !this.seance || !this.#voice) return;
    const said = lineOf(this.seance, frame.number);
    if (said && !said.cut) this.#voice.play(frame, said.captions.rate);
  }

  /** What an event does to what is being played. */
  #follow({ event }: ToClient & { type: 'seance_event' }, before: Seance | null): void {
    const quiet = ['listening', 'asked', 'hushed', 'sat', 'left', 'closed'];
    if (!event || !before || !quiet.includes(event.type)) return;
    if (event.type === 'left' && !before.sitters.includes(event.member)) return;
    this.#stop(before);
  }

  #stop(seance: Seance): void {
    const last = seance.turns.reduce((most, turn) => {
      return turn.is === 'asked' ? most : Math.max(most, turn.line);
    }, 0);
    this.#voice?.silence(last);
    clearTimeout(this.#reader);
    this.#reader = undefined;
    this.playing = { ...this.playing, word: null };
  }

  /** Silences here, and says how far it was heard. */
  #hush(): void {
    if (!this.seance) return;
    const { line } = this.playing;
    this.#report(line, this.#heardOf(line));
    this.#stop(this.seance);
  }

  #heardWords = new Map<number, number>();
  #heardOf(line: number): number {
    return this.#heardWords.get(line) ?? 0;
  }

  /** A line was played up to this sample. */
  #progress(line: number, played: number): void {
    const said = this.seance && lineOf(this.seance, line);
    if (!said || said.cut) return;
    this.#advance(said, heard(said.captions, played), {
      line,
      words: begun(said.captions, played),
      word: sounding(said.captions, played),
    });
  }

  /** So many words of the line were heard now. */
  #advance(said: Said, words: number, playing: Playing): void {
    const before = this.playing;
    if (playing.line < before.line) return;
    if (
      playing.line !== before.line ||
      playing.words !== before.words ||
      playing.word !== before.word
    ) {
      this.playing = playing;
    }
    const earlier = this.#heardOf(said.line);
    if (words <= earlier) return;
    this.#heardWords.set(said.line, words);
    for (const known of this.#heardWords.keys()) {
      if (known < said.line - 8) this.#heardWords.delete(known);
    }
    const { captions } = said;
    if (passesClause(captions, earlier, words) || isHeard(captions, words)) {
      this.#report(said.line, words);
    }
  }

  #report(line: number, words: number): void {
    if (!this.sitting || words <= (this.#reported.get(line) ?? 0)) return;
    this.#reported.set(line, words);
    for (const known of this.#reported.keys()) if (known < line - 8) this.#reported.delete(known);
    house.tell({ type: 'heard', line, words });
  }

  /** Without a voice, or without sound, lines are read at the pace of a reader. */
  #read(): void {
    if (this.#reader !== undefined || !this.seance) return;
    const next = this.seance.turns.find((turn): turn is Said => {
      if (turn.is !== 'said' || turn.cut || turn.line < this.playing.line) return false;
      const mute = this.#voice === null || turn.captions.samples === 0 || turn.line <= this.#readTo;
      return mute && Math.max(turn.heard, this.#heardOf(turn.line)) < this.#readable(turn);
    });
    if (!next) return;
    const words = Math.max(next.heard, this.#heardOf(next.line));
    const word = wordsOf(next)[words] ?? '';
    this.playing = { line: next.line, words: words + 1, word: words };
    this.#reader = setTimeout(() => {
      this.#reader = undefined;
      const now = this.seance && lineOf(this.seance, next.line);
      if (now && !now.cut) {
        this.#advance(now, words + 1, { line: now.line, words: words + 1, word: null });
      }
      this.#read();
    }, readingTime(word));
  }

  /** Words of a line that have come with captions. */
  #readable(said: Said): number {
    return said.captions.words.length;
  }

  // ---- devices

  async #openVoice(): Promise<void> {
    const context = this.#audio();
    this.wake();
    this.#pulse ??= { pulse: new Pulse(), timer: setInterval(() => this.#look(), EACH_MS) };
    if (this.#voice || this.soundless) return;
    try {
      const voice = await Voice.open(context, this.settings.effect);
      if (this.#voice || this.soundless || context !== this.#context) {
        voice.close();
        return;
      }
      this.#voice = voice;
      this.#readTo = this.playing.line;
      voice.silence(this.#readTo);
      voice.onprogress = (line, played) => this.#progress(line, played);
    } catch (error) {
      // Without sound the captions are read.
      console.warn('no sound', error);
    }
  }

  #closeVoice(): void {
    clearInterval(this.#pulse?.timer);
    this.#pulse = null;
    this.soundless = false;
    this.#voice?.close();
    this.#voice = null;
  }

  /** Looks whether sound comes out. */
  #look(): void {
    if (!this.#pulse || !this.#context) return;
    const stands = this.#pulse.pulse.stands(this.#context.currentTime);
    if (stands === this.soundless) return;
    this.soundless = stands;
    if (stands) {
      this.#voice?.close();
      this.#voice = null;
      this.#read();
    } else {
      void this.#openVoice();
    }
  }

  async #openEar(): Promise<void> {
    if (this.#ear || (this.seance?.means && this.seance.means.hears.length === 0)) return;
    try {
      const ear = await Microphone.open(this.#audio(), (bytes) => house.sound(bytes));
      ear.onlevel = (level) => (this.level = level);
      ear.onsamples = (samples) => this.notice.hear(samples);
      this.notice.onended = () => void this.release();
      this.#ear = ear;
      this.microphone = 'there';
    } catch {
      this.microphone = 'none';
      return;
    }
    if (this.settings.notices) void this.notice.open();
  }

  async #openCamera(): Promise<void> {
    if (!this.settings.camera || this.#camera) return;
    try {
      this.#camera = await Camera.open();
      this.cameraNone = false;
    } catch {
      this.cameraNone = true;
    }
  }

  #closeEar(): void {
    this.#ear?.close();
    this.#ear = null;
    this.microphone = 'unknown';
    this.#camera?.close();
    this.#camera = null;
    this.#saidAll();
    this.unsaid = false;
    this.understanding = false;
  }

  #audio(): AudioContext {
    this.#context ??= new AudioContext({ latencyHint: 'interactive' });
    return this.#context;
  }

  // ---- words

  #gotUp(): void {
    this.letGo = true;
    this.#wants = 'watch';
    this.#closeEar();
  }

  #accepted(reply: Reply): boolean {
    if (reply.is === 'refused') this.#complain(reply);
    if (reply.is === 'lost') this.problem = this.t.lost;
    return reply.is === 'accepted';
  }

  #complain({ code }: Reply & { is: 'refused' }): void {
    const { refusals } = this.t;
    this.problem = code in refusals ? refusals[code as keyof typeof refusals] : refusals.other;
  }

  #announce(message: ToClient): void {
    if (message.type !== 'seance_event' || !message.event) return;
    const { event } = message;
    if (event.type === 'asked') this.#tell(`${this.t.you}: ${event.text}`);
    if (event.type === 'said') this.#tell(`${this.t.spirit}: ${event.text}`);
    if (event.type === 'unheard' && !this.unsaid) this.#tell(this.t.unheard);
  }

  #tell(text: string): void {
    this.#nextTold += 1;
    this.told = [...this.told, { id: this.#nextTold, text }].slice(-6);
  }
}

export const box = new Box();
