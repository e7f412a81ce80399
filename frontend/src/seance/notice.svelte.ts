/** Whether somebody speaks into the microphone, as far as this browser can notice. */
import type { Activity } from './activity';

export class Notice {
  /** Whether it can be noticed at all. */
  able = $state.raw<'off' | 'loading' | 'there' | 'none'>('off');
  /** A voice is in what is being said. */
  voiced = $state(false);
  /** Somebody spoke, and has been silent for as long as was asked for. */
  onended: () => void = () => {};

  #activity: Activity | null = null;
  /** What follows the utterance of now, from its beginning. */
  #followed: Activity | null = null;

  /** Loads what it takes. Without it the key alone begins and ends a question. */
  async open(): Promise<void> {
    if (this.able === 'loading' || this.able === 'there') return;
    this.able = 'loading';
    try {
      const { Activity } = await import('./activity');
      const activity = await Activity.load();
      // It may have been switched off meanwhile.
      if (this.able !== 'loading') return;
      this.#activity = activity;
      this.able = 'there';
    } catch (error) {
      console.warn('no voice activity', error);
      if (this.able === 'loading') this.able = 'none';
    }
  }

  close(): void {
    this.#activity = null;
    this.able = 'off';
    this.end();
  }

  /** An utterance begins, which ends after so many milliseconds of silence; 0: by no silence. */
  begin(silence: number): void {
    this.voiced = false;
    this.#followed = this.#activity;
    this.#followed?.begin(silence);
  }

  /** The utterance is over. */
  end(): void {
    this.voiced = false;
    this.#followed = null;
  }

  /** Whether it is known that nothing was said. */
  get unsaid(): boolean {
    return this.#followed?.spoke === false;
  }

  /** Hears more of the utterance, at 16 kHz. */
  hear(samples: Float32Array): void {
    for (const change of this.#followed?.hear(samples) ?? []) {
      this.voiced = change === 'began';
      // Not within the microphone's own end, which is heard here too.
      if (change === 'ended') queueMicrotask(() => this.onended());
    }
  }
}
