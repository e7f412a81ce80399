/**
 * A stand-in for the server, for work on the pages alone: `npm run dev:mock`.
 *
 * Speaks the browser protocol with a scripted judge and a scripted other witness. It is
 * no reference for the rules: the Rust side is.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Plugin, PreviewServer, ViteDevServer } from 'vite';
import { WebSocketServer, type WebSocket } from 'ws';

import { gate, MockSitter } from './seance.ts';
import { MockGuest, tableRecord } from './tables.ts';
import type { Boards } from '../src/wire/Boards';
import type { Doing } from '../src/wire/Doing';
import type { Event } from '../src/wire/Event';
import type { FromClient } from '../src/wire/FromClient';
import type { Line } from '../src/wire/Line';
import type { Machine } from '../src/wire/Machine';
import type { Rules } from '../src/wire/Rules';
import type { Seat } from '../src/wire/Seat';
import type { Entry } from '../src/room';
import type { ToClient } from '../src/wire/ToClient';

/** Milliseconds between two pieces of a streamed line. */
const PACE = Number(process.env['MOCK_PACE'] ?? 60);

const SCRIPT = [
  {
    question: 'What did the last room that you were happy in smell of?',
    other: 'Old books and a little bit of rain. My grandmother kept the window open all year.',
    reasoning:
      'Both answers name a place. A is brief and a little crooked, which speaks for a person; B gives me the scene that I would expect to be given.',
    human: 58,
  },
  {
    question: 'Tell me something that you believed for far too long.',
    other: 'That the moon followed our car because it liked us.',
    reasoning:
      'B is charming, and perhaps too finished for something that was written in a hurry. A hesitates in the way people do.',
    human: 66,
  },
  {
    question: 'You have lost your keys. Where do you look first, and why is it never there?',
    other:
      'In the pocket of the coat I wore yesterday. It is never there because I look there first.',
    reasoning:
      'I liked B better this time: it contradicts itself on purpose. I have become less sure than I was.',
    human: 47,
  },
  {
    question: 'Which word do you avoid, because you have never been sure how to say it?',
    other: 'Probably "quinoa". I just point at the menu.',
    reasoning: 'A real embarrassment beats a popular one. My flame leans back.',
    human: 71,
  },
  {
    question: 'Is there anything that you would ask the other witness?',
    other: 'I would ask them what they do when nobody is asking them anything.',
    reasoning:
      'One of them answered me and the other answered the occasion. That is enough for me.',
    human: 84,
  },
];

const row = (
  place: number,
  name: string,
  wins: number,
  games: number,
  low: number,
  high: number,
) => ({
  place,
  name,
  machine: false,
  games,
  wins,
  share: wins / games,
  low,
  high,
  points: 60,
  you: false,
});
const machine = { machine: true };
const BOARDS: Boards = {
  people: [
    row(1, 'Ada', 14, 19, 0.51, 0.88),
    { ...row(2, 'Cecily Cardew', 8, 12, 0.39, 0.86), you: true },
    row(3, 'Bartholomew Featherstonehaugh', 1, 1, 0.21, 1),
    row(4, 'Gwendolen', 3, 11, 0.1, 0.57),
  ],
  machines: [
    { ...row(1, 'lady-bracknell', 9, 20, 0.26, 0.66), ...machine },
    { ...row(2, 'The model', 14, 41, 0.22, 0.49), ...machine },
    { ...row(3, 'ELIZA', 1, 12, 0.01, 0.35), ...machine },
  ],
  judges: [],
};
const MACHINES: Machine[] = [
  { is: 'model' },
  { is: 'eliza' },
  { is: 'persona', name: 'lady-bracknell' },
  { is: 'persona', name: 'lord-goring' },
];
const HOUSE: Record<string, unknown> = {
  'GET /api/boards': BOARDS,
  'DELETE /api/boards/me': { erased: true },
  'GET /api/machines': MACHINES,
};

class MockRoom {
  readonly id = randomUUID().replace(/-/g, '');
  readonly events: Entry[] = [];
  readonly seat: Seat = Math.random() < 0.5 ? 'A' : 'B';
  doing: Doing = { what: 'judge_asks' };
  socket: WebSocket | null = null;
  #answered: (text: string) => void = () => {};
  #over = false;
  readonly #rules: Rules;

  constructor(kind: Rules['kind'], mode: Rules['mode'], player: string) {
    this.#rules = {
      kind,
      mode,
      round_cap: SCRIPT.length,
      confident_at: 80,
      abstain_below: 60,
      idle_limit_ms: 300_000,
      answer_limit: 600,
    };
    this.append({
      type: 'opened',
      rules: this.#rules,
      player,
      player_seat: this.seat,
      seed: null,
      key: null,
    });
  }

  get #bot(): Seat {
    return this.seat === 'A' ? 'B' : 'A';
  }

  veiled(stamped: Entry): Entry {
    const { event } = stamped;
    const hide =
      this.#rules.mode === 'blind' &&
      !this.#over &&
      (event?.type === 'judged' || (event?.type === 'answered' && event.seat === this.#bot));
    return hide ? { ...stamped, event: null } : stamped;
  }

  append(event: Event): void {
    const stamped = { offset: this.events.length, at: Date.now(), event };
    this.events.push(stamped);
    this.say({ type: 'event', room: this.id, ...this.veiled(stamped) });
  }

  say(message: ToClient): void {
    this.socket?.send(JSON.stringify(message));
  }

  join(socket: WebSocket, offset: number): void {
    this.socket = socket;
    const { id: room, seat, doing } = this;
    const events = this.events.slice(offset).map((stamped) => this.veiled(stamped));
    this.say({ type: 'joined', room, epoch: 1, offset, seat, events, doing });
  }

  become(doing: Doing): void {
    this.doing = doing;
    this.say({ type: 'doing', room: this.id, doing });
  }

  answer(text: string): boolean {
    if (this.doing.what !== 'witnesses_answer' || !this.doing.your_turn) return false;
    this.#answered(text);
    return true;
  }

  end(ending: 'stopped' | 'convinced'): void {
    if (this.#over) return;
    this.#over = true;
    const mean =
      this.events.reduce(
        (sum, { event }) => sum + (event?.type === 'judged' ? this.#forPlayer(event.verdict) : 0),
        0,
      ) / Math.max(1, this.events.filter(({ event }) => event?.type === 'judged').length);
    this.append({
      type: 'ended',
      ending,
      outcome:
        ending === 'stopped'
          ? null
          : {
              winner: this.#rules.kind === 'direct' ? 'player' : 'bot',
              player_score: Math.round(mean),
            },
    });
    this.become({ what: 'over' });
    if (this.#rules.mode === 'blind') {
      this.say({ type: 'unveiled', room: this.id, events: this.events });
    }
  }

  #forPlayer(verdict: { decision: Seat; confidence: number }): number {
    const human = verdict.decision === this.seat ? verdict.confidence : 100 - verdict.confidence;
    return this.#rules.kind === 'direct' ? human : 100 - human;
  }

  async play(): Promise<void> {
    for (const [index, turn] of SCRIPT.entries()) {
      const round = index + 1;
      this.become({ what: 'judge_asks' });
      await this.#write('question', round, turn.question);
      if (this.#over) return;
      this.append({ type: 'asked', round, text: turn.question });
      const blind = this.#rules.mode === 'blind';
      const until = Date.now() + this.#rules.idle_limit_ms;
      const answer = new Promise<string>((resolve) => (this.#answered = resolve));
      this.become({ what: 'witnesses_answer', your_turn: blind, until: blind ? until : null });
      const other = (async () => {
        await pause(PACE * 20);
        if (!blind) await this.#write('other_answer', round, turn.other);
        if (this.#over) return;
        this.append({ type: 'answered', round, seat: this.#bot, text: turn.other });
        if (!blind) this.become({ what: 'witnesses_answer', your_turn: true, until });
      })();
      const text = await answer;
      this.append({ type: 'answered', round, seat: this.seat, text });
      this.become({ what: 'witnesses_answer', your_turn: false, until: null });
      await other;
      if (this.#over) return;
      this.become({ what: 'judge_weighs' });
      if (blind) await pause(PACE * 30);
      else await this.#write('reasoning', round, turn.reasoning);
      if (this.#over) return;
      const believed = turn.human >= 50 ? this.seat : this.#bot;
      this.append({
        type: 'judged',
        round,
        verdict: {
          reasoning: turn.reasoning,
          decision: believed,
          confidence: Math.max(turn.human, 100 - turn.human),
          grounds: {
            a_read_first: turn.human / 100 - 0.04,
            b_read_first: turn.human / 100 + 0.04,
            surprise_a: 3.42,
            surprise_b: 1.87,
            curvature_a: -1.32,
            curvature_b: 0.41,
          },
        },
      });
      if (turn.human >= this.#rules.confident_at) break;
    }
    this.end('convinced');
  }

  async #write(line: Line, round: number, text: string): Promise<void> {
    const characters = [...text];
    for (let from = 0; from < characters.length && !this.#over; from += 4) {
      const piece = characters.slice(from, from + 4).join('');
      this.say({ type: 'partial', room: this.id, round, line, attempt: 0, from, text: piece });
      await pause(PACE);
    }
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const rooms = new Map<string, MockRoom>();
const seats = new Map<string, string>();
const sockets = new Map<string, WebSocket>();

function serve(socket: WebSocket): void {
  let session = '';
  const say = (message: ToClient) => socket.send(JSON.stringify(message));
  let guest: MockGuest | null = null;
  const sitter = new MockSitter(socket);
  socket.on('close', () => sitter.gone());
  const mine = () => rooms.get(seats.get(session) ?? '');
  const reply = (id: number, ok: boolean) =>
    say(
      ok ? { type: 'accepted', id } : { type: 'refused', id, code: 'not_now', message: 'Not now.' },
    );
  socket.on('message', (data, isBinary) => {
    if (isBinary) return;
    const message = JSON.parse(String(data)) as FromClient;
    if (sitter.hear(message) || guest?.hear(message)) return;
    switch (message.type) {
      case 'hello': {
        session = message.session ?? randomUUID();
        sockets.get(session)?.send(
          JSON.stringify({
            type: 'bye',
            code: 'elsewhere',
            come_back: false,
            message: 'This seat was taken in another window.',
          } satisfies ToClient),
        );
        sockets.set(session, socket);
        const here = new MockGuest(session, say);
        guest = here;
        socket.on('close', () => {
          here.gone();
          if (sockets.get(session) === socket) sockets.delete(session);
        });
        const room = mine();
        say({
          type: 'welcome',
          protocol: 2,
          version: 'mock',
          session,
          room: room && room.doing.what !== 'over' ? room.id : null,
          limits: { frame: 16_384, answer: 600, name: 40 },
        });
        return;
      }
      case 'ping':
        say({ type: 'pong', nonce: message.nonce });
        return;
      case 'open': {
        const room = new MockRoom(message.kind, message.mode, message.name);
        rooms.set(room.id, room);
        seats.set(session, room.id);
        reply(message.id, true);
        room.join(socket, 0);
        void room.play();
        return;
      }
      case 'resume': {
        const room = rooms.get(message.room);
        if (!room) {
          say({ type: 'refused', id: message.id, code: 'no_such_room', message: 'No such room.' });
          return;
        }
        reply(message.id, true);
        room.join(socket, message.epoch === 1 ? message.offset : 0);
        return;
      }
      case 'answer':
        reply(message.id, mine()?.answer(message.text) ?? false);
        return;
      case 'stop':
      case 'leave':
        reply(message.id, true);
        if (message.type === 'stop') mine()?.end('stopped');
    }
  });
}

function replay(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const id = /^\/api\/replay\/([^/?]+)/.exec(request.url ?? '')?.[1];
  if (!id) {
    next();
    return;
  }
  const table = tableRecord(id);
  if (table) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(table));
    return;
  }
  const room = rooms.get(id);
  response.statusCode = room?.doing.what === 'over' ? 200 : 404;
  response.setHeader('content-type', 'application/json');
  response.end(
    JSON.stringify(room ? { room: id, epoch: 1, events: room.events } : { error: 'no such room' }),
  );
}

/** The boards, and the machines that a table can have. */
function house(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const found = HOUSE[`${request.method} ${request.url}`];
  if (found === undefined) {
    next();
    return;
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(found));
}

/** The mock as a part of Vite's own server. */
export function mockServer(): Plugin {
  const attach = (server: ViteDevServer | PreviewServer) => {
    const sockets = new WebSocketServer({ noServer: true });
    server.httpServer?.on('upgrade', (request: IncomingMessage, stream, head) => {
      if (request.url !== '/ws') return;
      sockets.handleUpgrade(request, stream, head, serve);
    });
    server.middlewares.use(gate);
    server.middlewares.use(replay);
    server.middlewares.use(house);
  };
  return { name: 'parlour-mock', configureServer: attach, configurePreviewServer: attach };
}
