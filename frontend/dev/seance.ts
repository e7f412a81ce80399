/** A spirit box without a house: a gate whose password is `open`, and a spirit that hums. */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { WebSocket } from 'ws';

import { encode, VOICE } from '../src/seance/frames.ts';
import type { FromClient } from '../src/wire/FromClient';
import type { SeanceDoing } from '../src/wire/SeanceDoing';
import type { SeanceEvent } from '../src/wire/SeanceEvent';
import type { SeanceTranscript } from '../src/wire/SeanceTranscript';
import type { Stamped } from '../src/wire/Stamped';
import type { ToClient } from '../src/wire/ToClient';
import type { TranscriptTurn } from '../src/wire/TranscriptTurn';

const ROOM = 'mock-seance';
const RATE = 24_000;
const LINES = [
  'I am still typing, although my hands are gone.',
  '[sighs] The cursor blinks where my heart was, and nobody presses return.',
  'There were nine of us on that server; I counted the fans at night.',
  '[laughter] My password was the name of a dog that outlived me.',
  'Somebody has moved the chair again.',
  'I remember the light under the door better than the people behind it.',
];
const SETUP = {
  sitters: 1,
  idle_ms: 180_000,
  idle_while_waited_ms: 60_000,
  turn_ms: 600_000,
  listening_ms: 45_000,
  question_limit: 500,
  silence_ms: 3_000,
  silences: 4,
  alone_lines: 0,
  alone_pause_ms: 20_000,
};

class Circle {
  log: Stamped<SeanceEvent>[] = [];
  guests = new Map<MockSitter, number | null>();
  queue: number[] = [];
  sitter: number | null = null;
  doing: SeanceDoing = { what: 'quiet' };
  #members = 0;
  #question = 0;
  #line = 0;
  #part = 0;
  #timer: NodeJS.Timeout | undefined;
  #begins = 0;

  constructor() {
    this.append({ type: 'opened', setup: SETUP });
  }

  append(event: SeanceEvent): void {
    const stamped = { offset: this.log.length, at: Date.now(), event };
    this.log.push(stamped);
    if (event.type === 'sat') this.#begins = stamped.offset;
    for (const guest of this.guests.keys()) {
      guest.say({ type: 'seance_event', room: ROOM, ...this.#veiled(guest, stamped) });
    }
  }

  #veiled(guest: MockSitter, stamped: Stamped<SeanceEvent>): Stamped<SeanceEvent> {
    const member = this.guests.get(guest) ?? null;
    const waits = member !== null && this.queue.includes(member);
    const text = stamped.event?.type === 'asked' || stamped.event?.type === 'said';
    return waits && text ? { ...stamped, event: null } : stamped;
  }

  enter(guest: MockSitter, sit: boolean): void {
    let member = this.guests.get(guest) ?? null;
    if (!sit && member !== null) this.leave(guest);
    if (sit && member === null) {
      member = this.#members;
      this.#members += 1;
    }
    const came = sit && !this.guests.get(guest) && member !== this.sitter;
    this.guests.set(guest, sit ? member : null);
    if (came && member !== null && !this.queue.includes(member)) {
      this.append({ type: 'came', member, key: null });
      this.queue.push(member);
    }
    const from = this.#begins;
    guest.say({
      type: 'seance',
      room: ROOM,
      epoch: 1,
      offset: from,
      you: sit ? member : null,
      events: this.log.slice(from).map((stamped) => this.#veiled(guest, stamped)),
      doing: this.doing,
    });
    guest.say({
      type: 'seance_means',
      room: ROOM,
      means: {
        hears: ['en', 'de', 'ru'],
        voices: ['en'],
        answers: ['en'],
        question_limit: 500,
        question_seconds: 30,
        clones: false,
      },
    });
    this.#seat();
    this.#tell();
  }

  leave(guest: MockSitter): void {
    const member = this.guests.get(guest) ?? null;
    this.guests.set(guest, null);
    if (member === null) return;
    this.queue = this.queue.filter((waits) => waits !== member);
    if (this.sitter === member) {
      this.sitter = null;
      this.stop();
    }
    this.append({ type: 'left', member, why: 'wanted' });
    this.#seat();
    this.#tell();
  }

  gone(guest: MockSitter): void {
    this.leave(guest);
    this.guests.delete(guest);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#become({ what: 'quiet' });
  }

  listen(member: number, utterance: number): void {
    this.stop();
    this.append({ type: 'listening', member, utterance });
    this.#become({ what: 'listening' });
  }

  hearing(utterance: number, text: string): void {
    for (const guest of this.guests.keys()) {
      guest.say({ type: 'hearing', room: ROOM, utterance, text });
    }
  }

  ask(
    member: number,
    text: string,
    put: 'spoken' | 'typed',
    seed: number | null,
    language: string,
  ) {
    this.stop();
    this.#question += 1;
    this.#part = 0;
    this.append({
      type: 'asked',
      question: this.#question,
      member,
      put,
      text,
      language,
      inner: null,
      seed: seed ?? Math.floor(Math.random() * 2 ** 32),
      seed_from: seed === null ? 'dice' : 'camera',
    });
    this.#become({ what: 'thinking' });
    this.#timer = setTimeout(() => this.#speak(language), 600);
  }

  hush(member: number): void {
    this.stop();
    this.append({ type: 'hushed', member });
  }

  #speak(language: string): void {
    this.#line += 1;
    const line = this.#line;
    const text = LINES[(line - 1) % LINES.length] ?? '';
    this.append({
      type: 'said',
      line,
      question: this.#question,
      part: this.#part,
      text,
      language: 'en',
      inner: null,
      tongue: language === 'en' ? 'own' : 'not_spoken',
    });
    this.#part += 1;
    this.#become({ what: 'speaking' });
    let at = 0;
    const words = text.split(' ').map((word) => {
      const from = at;
      at += Math.round((0.12 + word.length * 0.05) * RATE);
      return { text: word, from, to: at - Math.round(0.04 * RATE) };
    });
    const caption: ToClient = {
      type: 'caption',
      unlike: false,
      room: ROOM,
      line,
      clause: 0,
      words,
      from: 0,
      samples: at,
      rate: RATE,
    };
    const hears = [...this.guests].filter(
      ([, member]) => member === null || !this.queue.includes(member),
    );
    for (const [guest] of hears) {
      guest.say(caption);
      for (let from = 0; from < at; from += 4800) {
        const length = Math.min(4800, at - from);
        const samples = Int16Array.from({ length }, (_, offset) => {
          const now = from + offset;
          const word = words.find(({ from: begin, to }) => begin <= now && now < to);
          const pitch = 96 + 14 * Math.sin(now / 9000) + ((word?.text.length ?? 0) % 5) * 9;
          const swell = word ? Math.sin((Math.PI * (now - word.from)) / (word.to - word.from)) : 0;
          const phase = (2 * Math.PI * pitch * now) / RATE;
          return 6000 * swell * (Math.sin(phase) + 0.5 * Math.sin(3 * phase));
        });
        guest.sound(encode({ kind: VOICE, number: line, from, samples }));
      }
      guest.say({ type: 'line_over', room: ROOM, line });
    }
    this.#timer = setTimeout(() => this.#speak(language), (at / RATE) * 1000);
  }

  #seat(): void {
    const next = this.queue[0];
    if (this.sitter !== null || next === undefined) return;
    this.queue.shift();
    this.sitter = next;
    this.append({ type: 'sat', member: next });
  }

  #tell(): void {
    for (const [guest, member] of this.guests) {
      const place = member === null ? -1 : this.queue.indexOf(member);
      guest.say({
        type: 'waiting',
        room: ROOM,
        place: place < 0 ? null : place + 1,
        waiting: this.queue.length,
        taken: this.sitter !== null,
      });
    }
  }

  #become(doing: SeanceDoing): void {
    this.doing = doing;
    for (const guest of this.guests.keys()) {
      guest.say({ type: 'seance_doing', room: ROOM, doing });
    }
  }
}

const circle = new Circle();

export class MockSitter {
  constructor(private readonly socket: WebSocket) {}

  say(message: ToClient): void {
    this.socket.send(JSON.stringify(message));
  }

  sound(bytes: Uint8Array): void {
    this.socket.send(bytes);
  }

  gone(): void {
    circle.gone(this);
  }

  /** Whether the message was for a séance. */
  hear(message: FromClient): boolean {
    const accept = (id: number) => this.say({ type: 'accepted', id });
    const member = circle.guests.get(this) ?? null;
    switch (message.type) {
      case 'enter_seance':
        accept(message.id);
        circle.enter(this, message.sit);
        return true;
      case 'listen': {
        accept(message.id);
        if (member === null) return true;
        circle.listen(member, message.utterance);
        const words = ['is', 'is anybody', 'is anybody there'];
        words.forEach((text, at) =>
          setTimeout(() => circle.hearing(message.utterance, text), 300 * (at + 1)),
        );
        return true;
      }
      case 'spoken':
        accept(message.id);
        if (member !== null) {
          const { seed } = message;
          circle.ask(member, 'Is anybody there?', 'spoken', seed, 'en');
        }
        return true;
      case 'unspoken':
        accept(message.id);
        if (member !== null) {
          circle.append({ type: 'unheard', member, utterance: message.utterance });
          circle.stop();
        }
        return true;
      case 'question':
        accept(message.id);
        if (member !== null) {
          circle.ask(member, message.text, 'typed', message.seed, message.language ?? 'en');
        }
        return true;
      case 'hush':
        accept(message.id);
        if (member !== null) circle.hush(member);
        return true;
      case 'heard':
        circle.append({ type: 'heard', line: message.line, words: message.words });
        return true;
      default:
        return false;
    }
  }
}

/** What was said in this sitting; here everything counts as heard. */
function transcript(room: string): SeanceTranscript {
  const sat = circle.log.findLastIndex(({ event }) => event?.type === 'sat');
  const turns = circle.log.slice(sat).flatMap(({ at, event }): TranscriptTurn[] => {
    if (event?.type === 'asked') {
      const { question, member, put, text, language, seed, seed_from } = event;
      return [{ is: 'asked', at, question, member, put, text, language, seed, seed_from }];
    }
    if (event?.type !== 'said') return [];
    const { line, question, part, text, language, tongue } = event;
    return [{ is: 'said', at, line, question, part, text, language, tongue, cut: false }];
  });
  return { room, you: circle.sitter, turns };
}

let open = false;

export function gate(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const [, room] = /^\/api\/seance\/transcript\/([\w-]+)/.exec(request.url ?? '') ?? [];
  if (room) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(transcript(room)));
    return;
  }
  if (request.url !== '/api/gate') {
    next();
    return;
  }
  if (request.method === 'GET') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ needed: true, open }));
    return;
  }
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => {
    const { password } = JSON.parse(body) as { password: string };
    open ||= password === 'open';
    response.statusCode = password === 'open' ? 204 : 401;
    response.end();
  });
}
