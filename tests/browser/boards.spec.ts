import { expect, test } from '@playwright/test';

import { axe, photograph, playToTheEnd, takeSeat } from './guest';

test('a judged game is on the boards, and its player can take their name off them', async ({
  page,
}) => {
  const name = `Ada ${Date.now() % 100_000}`;
  await takeSeat(page, 'direct', 'explanatory', name);
  await playToTheEnd(page);

  await page.goto('/');
  await page.getByRole('link', { name: 'The boards' }).click();
  await expect(page).toHaveURL(/\/boards$/);
  const people = page.getByTestId('board-people');
  const mine = people.getByRole('row').filter({ hasText: name });
  // What a game brought is written after its end.
  await expect(async () => {
    await page.reload();
    await expect(mine).toContainText('(you)', { timeout: 1000 });
  }).toPass();
  await expect(mine.getByRole('cell').last()).toHaveText('1');
  await expect(page.getByTestId('board-machines')).toContainText('The model');
  await expect(page.getByTestId('board-judges')).toContainText('The AI judge (a machine)');
  await photograph(page, 'boards');
  await axe(page);

  await page.getByRole('button', { name: 'Take my name off the boards' }).click();
  await photograph(page, 'boards-erase');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(mine).toBeVisible();
  await page.getByRole('button', { name: 'Take my name off the boards' }).click();
  await page.getByRole('button', { name: 'Erase it' }).click();
  await expect(page.getByText('Your name is off the boards.')).toBeVisible();
  await expect(mine).toHaveCount(0);
  await expect(page.getByTestId('board-machines')).toContainText('The model');
});

test('boards that are empty or cannot be read say so', async ({ page }) => {
  const empty = { people: [], machines: [], judges: [] };
  await page.route('**/api/boards', (route) => route.fulfill({ json: empty }));
  await page.goto('/boards');
  await expect(page.getByText('Nobody has played to a verdict yet.')).toBeVisible();
  await expect(page.getByRole('table')).toHaveCount(0);
  await photograph(page, 'boards-empty');
  await axe(page);

  await page.unroute('**/api/boards');
  await page.route('**/api/boards', (route) => route.fulfill({ status: 503, json: {} }));
  await page.reload();
  await expect(page.getByRole('alert')).toHaveText('The boards cannot be read now.');
  await axe(page);
  await page.unroute('**/api/boards');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByTestId('board-people')).toBeVisible();
});
