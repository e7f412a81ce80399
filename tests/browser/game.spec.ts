import { expect, test } from '@playwright/test';

import {
  answer,
  answerBox,
  doing,
  KINDS,
  MODES,
  photograph,
  playToTheEnd,
  takeSeat,
  turnOrEnd,
  verdict,
  type Kind,
  type Mode,
} from './guest';

for (const kind of Object.keys(KINDS) as Kind[]) {
  for (const mode of Object.keys(MODES) as Mode[]) {
    test(`a ${kind} ${mode} game is played to its verdict and can be read by others`, async ({
      page,
      browser,
    }) => {
      await page.goto('/');
      await expect(page.getByText('The house is open')).toBeVisible();
      await photograph(page, 'lobby');

      await takeSeat(page, kind, mode);
      expect(await turnOrEnd(page)).toBe(true);
      await photograph(page, `turn-${kind}-${mode}`);
      if (mode === 'explanatory') {
        await expect(page.getByTestId('theirs').first()).not.toContainText('has answered');
      } else {
        await expect(page.getByTestId('reasoning')).toHaveCount(0);
      }
      await answer(page, 1);
      const rounds = await playToTheEnd(page, 2);

      // The reveal: everything is on the table, in a blind game as well.
      const seat = /Behind screen ([AB]) sat the person; behind screen ([AB]), the automaton/;
      await expect(verdict(page)).toContainText(seat);
      await expect(page.getByTestId('score')).toContainText(/\d+/);
      await expect(page.getByTestId('theirs')).toHaveCount(rounds);
      await expect(page.getByTestId('theirs').first()).not.toContainText('has answered');
      await expect(page.getByTestId('reasoning')).toHaveCount(rounds);
      await photograph(page, `verdict-${kind}-${mode}`);
      await page.getByText('The same as a table').click();
      await expect(page.getByRole('rowheader')).toHaveCount(rounds);
      await page.getByText('How this verdict came about').click();
      await expect(page.getByTestId('grounds').getByRole('listitem')).toHaveCount(rounds);
      const headline = await page.getByTestId('headline').innerText();

      const room = new URL(page.url()).pathname.split('/').at(-1);
      const stranger = await browser.newContext();
      const other = await stranger.newPage();
      await other.goto(`/replay/${room}`);
      await expect(other.getByTestId('headline')).toHaveText(headline);
      await other.keyboard.press('ArrowLeft');
      await expect(other.getByTestId('step')).toHaveText(`Round ${rounds} of ${rounds}`);
      await expect(other.getByTestId('question')).toHaveCount(1);
      await stranger.close();

      // The evening is remembered in this browser.
      await page.getByRole('link', { name: 'Change the game' }).click();
      await expect(page.getByRole('heading', { name: 'Your evenings so far' })).toBeVisible();
    });
  }
}

test('stopping asks first, and ends the game without a score', async ({ page }) => {
  await takeSeat(page, 'direct', 'explanatory');
  await expect(doing(page)).toBeVisible();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Stay seated' }).click();
  await expect(answerBox(page)).toBeVisible();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Stop the game' }).click();
  await expect(page.getByTestId('headline')).toHaveText('You got up from the table');
  await expect(page.getByTestId('score')).toHaveCount(0);

  // The same game once more, at another table.
  const before = page.url();
  await page.getByRole('button', { name: 'Play again' }).click();
  await expect(page).not.toHaveURL(before);
  await expect(doing(page)).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Round 1 of 5' })).toBeVisible();
});

test('a game that never was has no replay', async ({ page }) => {
  await page.goto('/replay/no-such-game');
  await expect(page.getByRole('heading', { name: 'There is no such game' })).toBeVisible();
});
