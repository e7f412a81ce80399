/**
 * Somebody who is not there: plays segments of scrolling and of the pointer one after another,
 * for ever. Pure but for the dice it was given.
 */
import {
  placeAt,
  scrollings,
  wanderings,
  type Dice,
  type Recording,
  type Rules,
  type Scrolling,
  type Wandering,
} from './movement';

/** Milliseconds in which the pointer finds from the end of one segment to the next. */
const CROSSING = 900;

/** Minimum-jerk way from 0 to 1 (Flash and Hogan 1985). */
const jerkless = (part: number): number => part ** 3 * (10 + part * (6 * part - 15));

/** What has moved. */
export interface Moved {
  /** How far the page goes, CSS pixels; down is positive. */
  scroll: number;
  /** Where the pointer is, in parts of the window's sides, 0 to 1. */
  x: number;
  y: number;
}

/** Plays the items of a list that is made anew whenever it is over. */
class Reel<T extends { length: number }> {
  private list: T[] = [];
  private next = 0;
  item: T | null = null;
  /** Milliseconds of the item that have been played. */
  at = 0;

  constructor(private readonly make: () => T[]) {}

  /**
   * Plays `millis` of the item, or what there is of it, and gives how much is left: nothing
   * unless the item is over. (A difference of sums would leave crumbs that never end.)
   */
  play(millis: number): number {
    const rest = (this.item?.length ?? 0) - this.at;
    if (millis < rest) {
      this.at += millis;
      return 0;
    }
    this.at = this.item?.length ?? 0;
    return millis - rest;
  }

  /** Goes on to the next item; false when there is none. */
  turn(): boolean {
    if (this.next >= this.list.length) {
      this.list = this.make().filter(({ length }) => length > 0);
      this.next = 0;
    }
    this.item = this.list[this.next] ?? null;
    this.next += 1;
    this.at = 0;
    return this.item !== null;
  }
}

export class Ghost {
  private readonly wheel: Reel<Scrolling>;
  private readonly hand: Reel<Wandering>;
  private from: readonly [number, number] = [0.5, 0.5];
  private place: readonly [number, number] = [0.5, 0.5];

  constructor(recordings: readonly Recording[], rules: Rules, dice: Dice) {
    this.wheel = new Reel(() => scrollings(recordings, rules, dice));
    this.hand = new Reel(() => wanderings(recordings, rules, dice));
  }

  /** Lets `millis` pass. */
  pass(millis: number): Moved {
    const scroll = this.roll(millis);
    this.wander(millis);
    const [x, y] = this.place;
    return { scroll, x, y };
  }

  private roll(millis: number): number {
    let [left, moved] = [millis, 0];
    while (left > 0) {
      const { wheel } = this;
      if (!wheel.item || wheel.at >= wheel.item.length) {
        if (!wheel.turn() || !wheel.item) return moved;
        moved += wheel.item.sense * wheel.item.leap;
      }
      const { points, sense } = wheel.item;
      const [before = 0] = placeAt(points, wheel.at);
      left = wheel.play(left);
      const [after = 0] = placeAt(points, wheel.at);
      moved += sense * (after - before);
    }
    return moved;
  }

  private wander(millis: number): void {
    let left = millis;
    while (left > 0) {
      const { hand } = this;
      if (!hand.item || hand.at >= hand.item.length) {
        this.from = this.place;
        if (!hand.turn() || !hand.item) return;
      }
      left = hand.play(left);
      const [x = 0.5, y = 0.5] = placeAt(hand.item.points, hand.at);
      const near = jerkless(Math.min(1, hand.at / CROSSING));
      this.place = [
        this.from[0] + (x - this.from[0]) * near,
        this.from[1] + (y - this.from[1]) * near,
      ];
    }
  }
}
