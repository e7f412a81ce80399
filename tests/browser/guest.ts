/** What a guest does at the table, in the words of the page. */
import { AxeBuilder } from '@axe-core/playwright';
import { expect, test, type Locator, type Page, type WebSocketRoute } from '@playwright/test';

export const KINDS = {
  direct: 'Be yourself',
  inverse: 'Be the machine',
} as const;
export const MODES = { explanatory: 'By candlelight', blind: 'Blind' } as const;
export type Kind = keyof typeof KINDS;
export type Mode = keyof typeof MODES;

const ANSWERS = [
  'honestly? toast. slightly burnt toast and the radio on too loud',
  'that you could see the wind if you were quick enough, my brother told me so',
  'the fridge. dont ask. it happened once and now i always check the fridge',
  'hmm i would have to think about it for longer than you will give me',
  'no, they seem nice enough, ask them what they had for lunch',
];

export const answerBox = (page: Page): Locator => page.getByLabel('Your answer');
export const doing = (page: Page): Locator => page.getByTestId('doing');
export const verdict = (page: Page): Locator => page.getByTestId('verdict');
export const mine = (page: Page): Locator => page.getByTestId('mine');

export async function takeSeat(page: Page, kind: Kind, mode: Mode, name = ''): Promise<void> {
  await page.goto('/');
  if (name) await page.getByLabel('Your name').fill(name);
  await page.getByRole('radio', { name: KINDS[kind] }).check();
  await page.getByRole('radio', { name: MODES[mode] }).check();
  const sit = page.getByRole('button', { name: 'Take your seat' });
  await expect(sit).toHaveAttribute('aria-disabled', 'false');
  await sit.click();
  await expect(page).toHaveURL(/\/play\/[^/]+$/);
}

/** Waits until it is the guest's turn (true) or the game has ended (false). */
export async function turnOrEnd(page: Page): Promise<boolean> {
  const turn = doing(page).filter({ hasText: 'Your turn' });
  await expect(turn.or(verdict(page)).first()).toBeVisible();
  return !(await verdict(page).isVisible());
}

/** Answers the question that is on the table and sees the answer arrive. */
export async function answer(page: Page, round: number): Promise<void> {
  await answerBox(page).fill(ANSWERS[(round - 1) % ANSWERS.length] ?? 'maybe');
  await answerBox(page).press('Enter');
  // With a fast judge both may be there.
  await expect(
    mine(page)
      .nth(round - 1)
      .or(verdict(page))
      .first(),
  ).toBeVisible();
}

/** Plays on from `round` and says how many rounds there were. */
export async function playToTheEnd(page: Page, round = 1): Promise<number> {
  while (await turnOrEnd(page)) {
    await answer(page, round);
    round += 1;
  }
  return round - 1;
}

/** A line that the test can cut and mend. */
export async function line(page: Page) {
  let cut = false;
  let open: WebSocketRoute[] = [];
  await page.routeWebSocket(/\/ws(\/[0-9A-Za-z-]+)?$/, (socket) => {
    if (cut) {
      void socket.close({ code: 1011 });
      return;
    }
    socket.connectToServer();
    open.push(socket);
  });
  return {
    async cut() {
      cut = true;
      for (const socket of open) await socket.close({ code: 1011 });
      open = [];
    },
    mend() {
      cut = false;
    },
  };
}

/** No finding at all, in either light. */
export async function axe(page: Page): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const { violations } = await new AxeBuilder({ page }).analyze();
    const findings = violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join()}`);
    expect(findings, colorScheme).toEqual([]);
  }
}

const SIZES = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
];

/** The same moment in both sizes and both lights. */
export async function photograph(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const size of SIZES) {
      const path = `${test.info().project.outputDir}/../shots/${name}-${size.width}-${colorScheme}.png`;
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      // On a busy machine Chromium may owe the frame after a change of size for ever: then it
      // is asked again.
      await expect(async () => {
        await page.setViewportSize(size);
        await page.screenshot({ path, timeout: 15_000 });
      }).toPass();
    }
  }
  await page.setViewportSize(SIZES[0] ?? { width: 1280, height: 800 });
}
