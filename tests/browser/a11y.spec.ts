import { expect, test } from '@playwright/test';

import { axe, doing, playToTheEnd, takeSeat, turnOrEnd, verdict } from './guest';

test('every page of a game is free of axe findings', async ({ page }) => {
  await page.goto('/');
  await expect(page.getByText('The house is open')).toBeVisible();
  await axe(page);

  await takeSeat(page, 'direct', 'explanatory');
  expect(await turnOrEnd(page)).toBe(true);
  await axe(page);
  await page.getByRole('button', { name: 'Stop' }).click();
  await axe(page);
  await page.keyboard.press('Escape');

  await playToTheEnd(page);
  await axe(page);

  await page.goto(page.url().replace('/play/', '/replay/'));
  await expect(verdict(page)).toBeVisible();
  await axe(page);
  await page.goto('/replay/no-such-game');
  await expect(page.getByRole('heading', { name: 'There is no such game' })).toBeVisible();
  await axe(page);
});

test('a game can be played with the keyboard alone, and is read aloud in whole lines', async ({
  page,
}) => {
  await page.goto('/');
  await expect(page.getByText('The house is open')).toBeVisible();
  // Everything that is ever announced, to be held against what was said.
  await page.evaluate(() => {
    const said: string[] = [];
    Object.assign(window, { said });
    const region = document.querySelector('[aria-live="polite"][data-testid="said"]');
    if (!region) throw new Error('no live region');
    new MutationObserver((changes) => {
      for (const change of changes)
        for (const node of change.addedNodes) if (node.textContent) said.push(node.textContent);
    }).observe(region, { childList: true });
  });
  const focus = page.locator(':focus');
  const tabTo = async (name: string) => {
    for (let step = 0; step < 30; step += 1) {
      await page.keyboard.press('Tab');
      if ((await focus.count()) && (await focus.getAttribute('name')) === name) return;
      if ((await focus.count()) && (await focus.innerText()).trim() === name) return;
    }
    throw new Error(`"${name}" cannot be reached with Tab`);
  };
  await tabTo('mode');
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('radio', { name: 'Blind' })).toBeChecked();
  await page.keyboard.press('ArrowUp');
  await tabTo('Take your seat');
  await page.keyboard.press('Enter');

  let rounds = 0;
  while (await turnOrEnd(page)) {
    // The answer box takes the focus when it is the player's turn.
    await expect(page.getByLabel('Your answer')).toBeFocused();
    await page.keyboard.type('not sure, ask me again tomorrow');
    await page.keyboard.press('Enter');
    rounds += 1;
    await expect(
      page
        .getByTestId('mine')
        .nth(rounds - 1)
        .or(verdict(page))
        .first(),
    ).toBeVisible();
  }
  await expect(page.getByTestId('headline')).toBeFocused();

  const texts = (id: string) => page.getByTestId(id).locator('.text').allInnerTexts();
  const said = await page.evaluate(() => (window as unknown as { said: string[] }).said);
  for (const question of await texts('question')) {
    expect(said.filter((line) => line === `The judge asks: ${question}`)).toHaveLength(1);
  }
  for (const answer of await texts('theirs')) {
    expect(said.filter((line) => line.endsWith(` says: ${answer}`))).toHaveLength(1);
  }
  expect(said.filter((line) => line === 'Your turn.')).toHaveLength(rounds);
  await expect(doing(page)).toHaveCount(0);
});
