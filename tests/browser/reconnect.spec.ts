import { expect, test, type Page } from '@playwright/test';

import { answerBox, doing, line, mine, playToTheEnd, takeSeat, turnOrEnd } from './guest';

const banner = (page: Page) => page.getByTestId('banner');

test('a dead line costs neither the draft nor the game', async ({ page }) => {
  const wire = await line(page);
  await takeSeat(page, 'direct', 'explanatory');
  expect(await turnOrEnd(page)).toBe(true);
  const asked = page.getByTestId('question').locator('.text');
  const question = await asked.innerText();
  await answerBox(page).fill('i was about to say something clev');

  await wire.cut();
  await expect(banner(page)).toContainText('The line went dead');
  await expect(answerBox(page)).toHaveValue('i was about to say something clev');
  await expect(page.getByRole('button', { name: 'Send' })).toHaveAttribute('aria-disabled', 'true');
  await answerBox(page).press('End');
  await answerBox(page).pressSequentially('er, i swear');

  // While the line is dead: once it is mended the page may come back by itself, and the
  // button with the banner goes.
  await page.getByRole('button', { name: 'Try now' }).click();
  wire.mend();
  await expect(banner(page)).toHaveCount(0);
  await expect(answerBox(page)).toHaveValue('i was about to say something clever, i swear');
  await expect(asked).toHaveText([question]);

  await answerBox(page).press('Enter');
  await expect(mine(page)).toHaveCount(1);
  await expect(mine(page)).toContainText('clever, i swear');
  expect(await playToTheEnd(page, 2)).toBeGreaterThanOrEqual(1);
});

test('a line that dies while the judge writes leaves no half of a sentence', async ({ page }) => {
  const wire = await line(page);
  await takeSeat(page, 'direct', 'explanatory');
  await expect(doing(page)).toBeVisible();
  await wire.cut();
  await expect(banner(page)).toBeVisible();
  wire.mend();
  expect(await turnOrEnd(page)).toBe(true);
  await expect(page.getByTestId('question')).toHaveCount(1);
  await expect(page.getByTestId('theirs')).toHaveCount(1);
  await expect(page.locator('.nib')).toHaveCount(0);
});

test('a reload keeps the draft and the seat, and the lobby knows the way back', async ({
  page,
}) => {
  await takeSeat(page, 'inverse', 'blind');
  expect(await turnOrEnd(page)).toBe(true);
  await answerBox(page).fill('BEEP');
  await page.reload();
  await expect(answerBox(page)).toHaveValue('BEEP');
  const room = page.url();
  await page.goto('/');
  await page.getByRole('link', { name: 'Come back to your game' }).click();
  await expect(page).toHaveURL(room);
  await expect(answerBox(page)).toHaveValue('BEEP');
});

test('a seat that was taken elsewhere can be taken back', async ({ page, context }) => {
  await takeSeat(page, 'direct', 'explanatory');
  const second = await context.newPage();
  await second.goto(page.url());
  await expect(doing(second)).toBeVisible();
  await expect(page.getByRole('heading', { name: 'You took your seat elsewhere' })).toBeVisible();
  await page.getByRole('button', { name: 'Play here instead' }).click();
  await expect(doing(page)).toBeVisible();
  await expect(second.getByRole('heading', { name: 'You took your seat elsewhere' })).toBeVisible();
});
