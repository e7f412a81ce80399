import { beforeEach, describe, expect, it } from 'vitest';

import { Connection, type Socket, type Status } from './connection';
import type { FromClient } from './wire/FromClient';
import type { ToClient } from './wire/ToClient';

class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  said: FromClient[] = [];
  closed = false;
  send(text: string) {
    this.said.push(JSON.parse(text) as FromClient);
  }
  close() {
    this.closed = true;
  }
  hear(message: ToClient) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

class FakeClock {
  now = 0;
  waiting: { at: number; then: () => void }[] = [];
  after(ms: number, then: () => void) {
    const entry = { at: this.now + ms, then };
    this.waiting.push(entry);
    return () => {
      this.waiting = this.waiting.filter((other) => other !== entry);
    };
  }
  pass(ms: number) {
    this.now += ms;
    const due = this.waiting.filter(({ at }) => at <= this.now);
    this.waiting = this.waiting.filter(({ at }) => at > this.now);
    for (const { then } of due) then();
  }
}

const welcome: ToClient = {
  type: 'welcome',
  protocol: 2,
  version: '0',
  session: 'token',
  room: null,
  limits: { frame: 16384, answer: 600, name: 40 },
};

let sockets: FakeSocket[];
let clock: FakeClock;
let token: string | null;
let statuses: Status[];
let connection: Connection;
let place: string | null;
let places: (string | null)[];
const last = () => {
  const socket = sockets.at(-1);
  if (!socket) throw new Error('no socket was opened');
  return socket;
};

beforeEach(() => {
  sockets = [];
  clock = new FakeClock();
  token = null;
  statuses = [];
  place = null;
  places = [];
  connection = new Connection({
    open: (to) => {
      places.push(to);
      sockets.push(new FakeSocket());
      return last();
    },
    place: () => place,
    clock,
    random: () => 1,
    session: { get: () => token, set: (value) => (token = value) },
  });
  connection.onstatus = (status) => statuses.push(status);
});

const arrive = () => {
  last().onopen?.();
  last().hear(welcome);
};

describe('the way in', () => {
  it('leads to the room that the page is about, also when it comes back', () => {
    place = '7K3M-9QXT';
    connection.start();
    arrive();
    last().hear({ type: 'bye', code: 'moved', come_back: true, message: '' });
    clock.pass(400);
    expect(places).toEqual(['7K3M-9QXT', '7K3M-9QXT']);
  });

  it('is changed at once when the page is about another room', () => {
    connection.start();
    arrive();
    place = 'A';
    connection.goToPlace();
    expect(connection.status.at).toBe('connecting');
    arrive();
    place = 'B';
    connection.goToPlace();
    expect(places).toEqual([null, 'A', 'B']);
    expect(sockets[1]?.closed).toBe(true);
  });

  it('stays as it is for the same room, and in no room', () => {
    place = 'A';
    connection.start();
    arrive();
    connection.goToPlace();
    place = null;
    connection.goToPlace();
    expect(places).toEqual(['A']);
  });
});

describe('the handshake', () => {
  it('says hello first and is open only after the welcome', () => {
    connection.start();
    last().onopen?.();
    expect(last().said).toEqual([{ type: 'hello', protocol: 2, session: null }]);
    expect(connection.status.at).toBe('connecting');
    last().hear(welcome);
    expect(connection.status.at).toBe('open');
  });

  it('gives its session back the next time', () => {
    connection.start();
    arrive();
    last().onclose?.({ code: 1006 });
    clock.pass(400);
    last().onopen?.();
    expect(last().said[0]).toMatchObject({ session: 'token' });
  });

  it('resumes the room at the offset that it holds', () => {
    connection.comeback = () => ({ type: 'resume', room: 'r', epoch: 3, offset: 7 });
    connection.start();
    arrive();
    expect(last().said[1]).toEqual({ type: 'resume', id: 1, room: 'r', epoch: 3, offset: 7 });
  });
});

describe('requests', () => {
  it('are answered by their own id', async () => {
    connection.start();
    arrive();
    const first = connection.request({ type: 'stop' });
    const second = connection.request({ type: 'leave' });
    last().hear({ type: 'refused', id: 2, code: 'not_now', message: 'no' });
    last().hear({ type: 'accepted', id: 1 });
    expect(await first).toEqual({ is: 'accepted' });
    expect(await second).toEqual({ is: 'refused', code: 'not_now', message: 'no' });
  });

  it('are lost, not left hanging, when the line goes dead', async () => {
    connection.start();
    arrive();
    const reply = connection.request({ type: 'stop' });
    last().onclose?.({ code: 1006 });
    expect(await reply).toEqual({ is: 'lost' });
    expect(await connection.request({ type: 'stop' })).toEqual({ is: 'lost' });
  });
});

describe('coming back', () => {
  it('waits longer each time, to a limit, and from the start again after a welcome', () => {
    connection.start();
    for (const wait of [400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000]) {
      const before = sockets.length;
      last().onclose?.({ code: 1006 });
      clock.pass(wait - 1);
      expect(sockets).toHaveLength(before);
      clock.pass(1);
      expect(sockets).toHaveLength(before + 1);
    }
    arrive();
    last().onclose?.({ code: 1006 });
    const before = sockets.length;
    clock.pass(400);
    expect(sockets).toHaveLength(before + 1);
  });

  it('hangs up on a server that gives no sign of life', () => {
    connection.start();
    arrive();
    const dead = last();
    clock.pass(20_000);
    expect(dead.said.at(-1)?.type).toBe('ping');
    clock.pass(10_000);
    expect(dead.closed).toBe(true);
    expect(connection.status.at).toBe('waiting');
  });

  it('stays when the pong comes', () => {
    connection.start();
    arrive();
    for (let minute = 0; minute < 9; minute += 1) {
      clock.pass(20_000);
      last().hear({ type: 'pong', nonce: minute + 1 });
    }
    expect(sockets).toHaveLength(1);
    expect(connection.status.at).toBe('open');
  });

  it('comes back after a bye that says so, and after no other', () => {
    connection.start();
    arrive();
    last().hear({ type: 'bye', code: 'restarting', come_back: true, message: '' });
    expect(connection.status.at).toBe('waiting');
    clock.pass(400);
    arrive();
    last().hear({ type: 'bye', code: 'elsewhere', come_back: false, message: '' });
    expect(connection.status).toMatchObject({ at: 'dismissed', code: 'elsewhere' });
    clock.pass(60_000);
    expect(sockets).toHaveLength(2);
  });

  it('knows a dismissal by its close code when the bye was lost', () => {
    connection.start();
    arrive();
    last().onclose?.({ code: 4100 });
    expect(connection.status).toMatchObject({ at: 'dismissed', code: 'old_client' });
  });

  it('does not hear the socket that it let go', () => {
    connection.start();
    arrive();
    const { onmessage } = last();
    last().onclose?.({ code: 1006 });
    let heard = 0;
    connection.onmessage = () => (heard += 1);
    onmessage?.({ data: JSON.stringify({ type: 'doing', room: 'r', doing: { what: 'over' } }) });
    expect(heard).toBe(0);
  });
});
