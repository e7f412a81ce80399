/** The table for many: where the line, its room and its pages meet. */
import type { Reply, Request } from './connection';
import { house, type Visit } from './house.svelte';
import { forgetSeat, keepSeat, keepSetup, seatAt } from './keep';
import { FOR_GOOD, RESUME_AGAIN_MS } from './parlour.svelte';
import { keepChoices, lastChoices } from './score';
import { ballotOf, lastGame, personOf, sittingOf, type Sitting } from './sitting';
import { t } from './strings';
import { reduce, type Table } from './table';
import type { Act } from './wire/Act';
import type { Role } from './wire/Role';
import type { Setup } from './wire/Setup';
import type { TableCard } from './wire/TableCard';
import type { ToClient } from './wire/ToClient';

/** What must not be lost when the line goes dead on the way. */
type Turn = Extract<Act, { act: 'answer' | 'question' | 'vote' }>;

interface Sending {
  room: string;
  game: number;
  turn: Turn;
}

class Party implements Visit {
  table = $state.raw<Table | null>(null);
  /** Why the table that the page is about cannot be had, in words; empty for "no such table". */
  refused = $state.raw<string | null>(null);
  /** The open tables that are listed; null before they are known. */
  lobby = $state.raw<TableCard[] | null>(null);
  sending = $state.raw<Sending | null>(null);
  /** This browser has a place at the table that the page is about, and asks for it. */
  returns = $state(false);
  /** Opening or joining a table. */
  arriving = $state(false);

  #wanted: string | null = null;
  #watching = false;
  #returning = false;
  #sitting: Sitting | null = null;
  #onSeated: (room: string | null) => void = () => {};

  /** Among the open tables. */
  visitLobby(): void {
    this.#getUp();
    this.#watching = true;
    this.lobby = null;
    if (house.receive(this)) void house.request({ type: 'lobby', watch: true });
  }

  leaveLobby(): void {
    this.#watching = false;
    void house.request({ type: 'lobby', watch: false });
  }

  /** On the page of one table. Whoever has a place there takes it. */
  visit(room: string): void {
    if (this.#wanted === room) return;
    if (this.table && this.table.room !== room) this.#getUp();
    this.#watching = false;
    this.#wanted = room;
    this.refused = null;
    const open = house.receive(this);
    this.returns = this.comeback() !== null;
    if (open) this.#return();
  }

  /** Away from the table's page: the place is kept. */
  #getUp(): void {
    if (this.table) {
      house.openRoom = this.table.room;
      void house.request({ type: 'leave' });
    }
    this.#wanted = null;
    this.table = null;
    this.#sitting = null;
    this.refused = null;
  }

  depart(room: string): void {
    if (this.#wanted === room) this.#getUp();
  }

  place(): string | null {
    return this.#wanted;
  }

  comeback(): Request | null {
    if (this.#watching) return { type: 'lobby', watch: true };
    const room = this.#wanted;
    if (!room) return null;
    const held = this.table?.room === room ? this.table : null;
    const seat = seatAt(room);
    if (!held && !seat && house.openRoom !== room) return null;
    return {
      type: 'join_table',
      room,
      role: 'spectator',
      name: '',
      seat,
      held: held && { epoch: held.epoch, offset: held.events.length },
    };
  }

  resumed(reply: Reply): void {
    if (reply.is !== 'refused' || this.#watching) return;
    const passing = reply.code === 'trouble' || reply.code === 'too_fast';
    const stale = reply.code === 'not_yours' || reply.code === 'no_such_room';
    if (stale && this.#wanted) {
      forgetSeat(this.#wanted);
      if (house.openRoom === this.#wanted) house.openRoom = null;
    }
    if (passing) setTimeout(() => this.#return(), RESUME_AGAIN_MS);
    else if (reply.code === 'not_yours') this.refused = t.table.notYours;
    else this.refused = FOR_GOOD.has(reply.code) ? '' : reply.message;
  }

  #return(): void {
    const comeback = this.comeback();
    if (!comeback || this.#returning) return;
    this.#returning = true;
    void house.request(comeback).then((reply) => {
      this.#returning = false;
      this.resumed(reply);
    });
  }

  /** Opens a table. Resolves to its room, or to null with the house's `problem` set. */
  open(setup: Setup, role: Role, name: string): Promise<string | null> {
    keepSetup(setup);
    return this.#arrive({ type: 'open_table', setup, role, name: this.#own(name) });
  }

  /** Comes to `room` for the first time. */
  join(room: string, role: Role, name: string): Promise<string | null> {
    this.#wanted = room;
    this.refused = null;
    return this.#arrive({
      type: 'join_table',
      room,
      role,
      name: this.#own(name),
      seat: null,
      held: null,
    });
  }

  async #arrive(request: Request): Promise<string | null> {
    house.problem = null;
    this.arriving = true;
    const seated = new Promise<string | null>((resolve) => (this.#onSeated = resolve));
    const reply = await house.request(request);
    const room = this.#accepted(reply) ? await seated : null;
    this.arriving = false;
    if (reply.is === 'refused' && reply.code === 'no_such_room') this.refused = '';
    return room;
  }

  #own(name: string): string {
    keepChoices({ ...lastChoices(), name });
    return [...name.trim()].slice(0, house.limits?.name ?? 0).join('');
  }

  async act(act: Act): Promise<boolean> {
    house.problem = null;
    return this.#accepted(await house.request({ type: 'act', ...act }));
  }

  /** An answer, a question or a ballot. If the line goes dead it is said again, once it is
   * known that it never arrived and is still due. */
  async play(turn: Turn): Promise<void> {
    const game = this.#sitting && lastGame(this.#sitting);
    if (!this.table || !game) return;
    house.problem = null;
    this.sending = { room: this.table.room, game: game.game, turn };
    const reply = await house.request({ type: 'act', ...turn });
    if (reply.is === 'refused') {
      this.sending = null;
      this.#accepted(reply);
    }
  }

  /** Gives the place up for good. */
  async leave(): Promise<boolean> {
    const room = this.table?.room;
    const left = await this.act({ act: 'leave' });
    if (left && room) {
      forgetSeat(room);
      this.table = null;
      this.#wanted = null;
      house.openRoom = null;
    }
    return left;
  }

  #accepted(reply: Reply): boolean {
    const accepted = house.accepted(reply);
    // What the rules forbid is said by them.
    if (reply.is === 'refused' && reply.code === 'not_now') {
      house.problem = `${t.trouble.refusals.not_now} (${reply.message})`;
    }
    if (reply.is === 'refused' && reply.code === 'not_yours') {
      house.problem = this.table ? t.table.hostOnly : t.table.notYours;
    }
    return accepted;
  }

  hear(message: ToClient): void {
    if (message.type === 'lobby') {
      this.lobby = message.tables;
      return;
    }
    if (message.type === 'welcome') {
      // The line went dead between the seat and the news of it.
      if (this.arriving) this.#onSeated(message.room);
      this.returns ||= this.comeback() !== null && !this.#watching;
      return;
    }
    if (message.type === 'seated') {
      if (message.room !== this.#wanted) {
        if (!this.arriving) return;
        this.#wanted = message.room;
      }
      this.#watching = false;
      keepSeat(message.room, message.seat);
      house.openRoom = message.room;
      this.#onSeated(message.room);
    }
    const before = this.table;
    const after = reduce(before, message);
    if (!after || after === before) return;
    this.table = after;
    this.#sitting = sittingOf(after.events);
    if (after.gap) this.#return();
    this.#settleSending(message);
    this.#announce(before, after, message);
  }

  #settleSending(message: ToClient): void {
    const { sending, table } = this;
    const game = this.#sitting && lastGame(this.#sitting);
    if (!sending || !table) return;
    if (sending.room !== table.room || game?.game !== sending.game || game.end) {
      this.sending = null;
      return;
    }
    const { turn } = sending;
    const round = turn.act === 'vote' ? null : game.rounds.find((one) => one.round === turn.round);
    const arrived =
      turn.act === 'vote'
        ? ballotOf(game, table.you) !== null
        : turn.act === 'answer'
          ? round?.mine !== undefined
          : typeof round?.question === 'string';
    if (arrived) {
      this.sending = null;
    } else if (message.type === 'seated') {
      // Back after a dead line, and it never arrived.
      if ('your_turn' in table.doing && table.doing.your_turn) void this.play(turn);
      else this.sending = null;
    }
  }

  /** Says what is new, whole line by whole line; not what a newcomer finds at the table. */
  #announce(before: Table | null, after: Table, message: ToClient): void {
    const stayed = before?.room === after.room && before.epoch === after.epoch;
    if (stayed && message.type === 'seated') house.say(t.table.back);
    const sitting = this.#sitting;
    if (!sitting) return;
    const name = (member: number) => personOf(sitting, member)?.name || t.table.guest(member);
    for (const { event } of stayed ? after.events.slice(before.events.length) : []) {
      switch (event?.type) {
        case 'came':
          if (event.role === 'spectator') break;
          house.say(t.sayTable.came(name(event.member)));
          break;
        case 'went':
          house.say(t.sayTable.went(name(event.member)));
          break;
        case 'host_changed':
          house.say(
            event.member === after.you ? t.sayTable.youHost : t.sayTable.host(name(event.member)),
          );
          break;
        case 'said':
          if (event.member === after.you) break;
          house.say(t.sayTable.said(name(event.member), event.text));
          break;
        case 'started':
          house.say(t.sayTable.started);
          break;
        case 'questioned':
          house.say(t.sayTable.question(event.text));
          break;
        case 'revealed':
          house.say(
            event.answers.map(({ chair, text }) => t.sayTable.answer(chair, text)).join(' '),
          );
          break;
        case 'weighed':
          house.say(t.sayTable.weighed(event.opinion.reasoning));
          break;
        case 'vacated':
          if (event.vacancy === 'close') house.say(t.sayTable.closed(event.chair));
          break;
        case 'ballots_opened':
          house.say(t.sayTable.ballots);
          break;
        case 'finished':
          house.say(t.sayTable.finished);
          break;
      }
    }
    const due = (table: Table | null) =>
      table !== null && 'your_turn' in table.doing && table.doing.your_turn;
    if (due(after) && !due(before)) house.say(t.say.yourTurn);
  }
}

export const party = new Party();
