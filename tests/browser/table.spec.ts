import { expect, test, type Page } from '@playwright/test';

import { answerBox, axe, doing, line, photograph } from './guest';
import { button, guest, heading, join, openTable as open } from './tables';

const headline = (page: Page) => page.getByTestId('headline');

const turn = (page: Page, words: string) =>
  expect(doing(page).filter({ hasText: words })).toBeVisible();

async function answer(page: Page, text: string): Promise<void> {
  await turn(page, 'Your turn');
  await answerBox(page).fill(text);
  await answerBox(page).press('Enter');
  const heard = page.getByTestId('mine').or(page.getByTestId('answer')).filter({ hasText: text });
  await expect(heard).toBeVisible();
}

async function vote(page: Page, steps = 3): Promise<void> {
  await turn(page, 'Your turn to vote');
  await page.getByTestId('ballot').getByRole('radio').first().check();
  const slider = page.getByRole('slider', { name: 'How sure are you?' });
  for (let step = 0; step < steps; step += 1) await slider.press('ArrowRight');
  await button(page, 'Give the ballot').click();
}

test('three browsers play one game to its end while one of them is cut off twice', async ({
  browser,
}) => {
  const [ada, bob, eve] = await Promise.all([guest(browser), guest(browser), guest(browser)]);
  const wire = await line(bob);
  await ada.goto('/tables');
  await expect(ada.getByText('The house is open')).toBeVisible();
  await photograph(ada, 'tables');
  await axe(ada);
  const address = await open(ada, 'Ada', async (page) => {
    await photograph(page, 'table-new');
    await axe(page);
  });
  await expect(button(ada, 'Begin')).toHaveAttribute('aria-disabled', 'false');
  await bob.goto(address);
  await photograph(bob, 'table-invited');
  await axe(bob);
  await join(bob, address, 'Bob');
  await join(eve, address, 'Eve', 'Just watch');
  for (const page of [ada, bob, eve]) await expect(page.getByTestId('member')).toHaveCount(3);

  // Talk reaches everybody, and the host can mute.
  await bob.getByLabel('Say something').fill('good evening');
  await bob.getByLabel('Say something').press('Enter');
  for (const page of [ada, eve]) {
    await expect(page.getByTestId('talk')).toHaveText(/Bob\s+good evening/);
  }
  await button(ada, 'Mute Bob').click();
  await expect(bob.getByText('The host has muted you.')).toBeVisible();
  await button(ada, 'Let Bob speak').click();
  await expect(bob.getByLabel('Say something')).toBeVisible();
  await photograph(ada, 'table-gathering');
  await axe(ada);
  await axe(bob);

  await button(ada, 'Begin').click();
  await turn(ada, 'Your turn');
  await turn(bob, 'Your turn');
  await expect(eve.getByTestId('place')).toHaveText('You are watching.');
  await photograph(ada, 'table-answering');
  await axe(ada);
  await axe(eve);

  // Cut off in the middle of an answer; the others go on.
  await answerBox(bob).fill('i was about to');
  await wire.cut();
  await expect(bob.getByTestId('banner')).toContainText('The line went dead');
  await answer(ada, 'toast, a little burnt');
  await expect(answerBox(bob)).toHaveValue('i was about to');
  await answerBox(bob).press('End');
  await answerBox(bob).pressSequentially(' say something');
  wire.mend();
  await expect(bob.getByTestId('banner')).toHaveCount(0);
  await expect(answerBox(bob)).toHaveValue('i was about to say something');
  await turn(bob, 'Your turn');
  await answerBox(bob).press('Enter');

  // Everybody reads the same answers, each of them once.
  const answers = (page: Page) => page.getByTestId('answer').locator('.text, .veil');
  const count = await eve.getByTestId('ring').locator('.leaf').count();
  for (const page of [ada, bob, eve]) await expect(answers(page)).toHaveCount(count);
  const read = await answers(eve).allInnerTexts();
  expect(read).toContain('toast, a little burnt');
  expect(read).toContain('i was about to say something');
  for (const page of [ada, bob]) expect(await answers(page).allInnerTexts()).toEqual(read);

  // Cut off again, across the reveal of a round.
  await answer(bob, 'the second of my answers');
  await wire.cut();
  await expect(bob.getByTestId('banner')).toBeVisible();
  await answer(ada, 'nothing comes to mind');
  await expect(answers(ada)).toHaveCount(2 * count);
  wire.mend();
  await expect(bob.getByTestId('banner')).toHaveCount(0);
  await expect(answers(bob)).toHaveCount(2 * count);
  expect(await answers(bob).allInnerTexts()).toEqual(await answers(ada).allInnerTexts());

  await turn(ada, 'Your turn to vote');
  await photograph(ada, 'table-voting');
  await axe(ada);
  await vote(ada);
  await expect(ada.getByTestId('my-ballot')).toBeVisible();
  await vote(bob, 9);

  for (const page of [ada, bob, eve]) {
    await expect(headline(page)).toBeVisible();
    await expect(page.getByTestId('chair')).toHaveCount(count);
    await expect(page.getByTestId('ballots')).toContainText('Ada');
    await expect(page.getByTestId('ballots')).toContainText('Bob');
    await expect(page.getByTestId('ballots')).toContainText('The AI');
    await expect(page.getByTestId('evening').getByRole('row')).toHaveCount(3);
  }
  // A machine sat among them, and who it was is told.
  await expect(eve.getByTestId('chair').filter({ hasText: 'The chat model' })).toHaveCount(
    count - 2,
  );
  await expect(eve.getByTestId('heat').getByRole('row')).toHaveCount(count + 1);
  await photograph(ada, 'table-end');
  await axe(ada);
  await axe(eve);

  // Whoever has the link reads it afterwards.
  await eve.goto(address.replace('/t/', '/replay/'));
  await expect(eve.getByTestId('chair')).toHaveCount(count);
  await expect(eve.getByTestId('question')).toHaveCount(2);
  await axe(eve);

  // The same people play again; a reload keeps the place.
  await button(ada, 'Play again').click();
  await turn(bob, 'Your turn');
  await answerBox(bob).fill('half of a thou');
  await bob.reload();
  await expect(answerBox(bob)).toHaveValue('half of a thou');
  await turn(bob, 'Your turn');
  await button(ada, 'Stop').click();
  await button(ada, 'Stop the game').click();
  await expect(headline(bob)).toHaveText('The host stopped the game');
  await Promise.all([ada, bob, eve].map((page) => page.context().close()));
});

test('a person on the bench asks, calls the vote, and names the human', async ({ browser }) => {
  const [judge, witness] = await Promise.all([guest(browser), guest(browser)]);
  const address = await open(judge, 'Justice', async (page) => {
    await page.getByRole('radio', { name: 'One of you' }).check();
    await page.getByRole('radio', { name: 'I want the bench' }).check();
  });
  await expect(button(judge, 'Begin')).toHaveAttribute('aria-disabled', 'true');
  await join(witness, address, 'Wit');
  await button(judge, 'Begin').click();

  await turn(judge, 'Your turn to ask');
  await photograph(judge, 'table-bench');
  await axe(judge);
  const question = judge.getByLabel('Your question');
  await question.fill('What is the colour of Tuesday?');
  await judge.reload();
  await expect(question).toHaveValue('What is the colour of Tuesday?');
  await question.press('Enter');
  await expect(witness.getByTestId('question')).toContainText('What is the colour of Tuesday?');
  await expect(witness.getByTestId('question')).toContainText('Justice');
  await answer(witness, 'grey, obviously');
  await turn(judge, 'Your turn to ask');
  await button(judge, 'I have heard enough').click();
  await vote(judge);
  for (const page of [judge, witness]) {
    await expect(page.getByTestId('ballots')).toContainText('Justice');
    await expect(page.getByTestId('question')).toHaveCount(1);
  }
  await Promise.all([judge, witness].map((page) => page.context().close()));
});

test('tables are found in the list, and whoever is removed cannot come back', async ({
  browser,
}) => {
  const [host, other] = await Promise.all([guest(browser), guest(browser)]);
  await other.goto('/tables');
  const address = await open(host, 'Hestia', async () => {});
  const card = other.getByTestId('table-card').filter({ hasText: 'Hestia’s table' });
  await card.getByRole('link').click();
  await expect(other).toHaveURL(address);
  await join(other, address, 'Otto');
  await button(host, 'Remove Otto').click();
  await button(host, 'Remove').click();
  await expect(heading(other, 'You were removed from this table')).toBeVisible();
  await other.reload();
  await expect(other.getByText('you were removed, or nobody may watch')).toBeVisible();
  await host.context().close();
  await other.context().close();
});

test('the newer tab takes the place, and the older one is told and can take it back', async ({
  browser,
}) => {
  const page = await guest(browser);
  const address = await open(page, 'Ada', async () => {});
  const second = await page.context().newPage();
  await second.goto(address);
  await expect(heading(second, 'Your table')).toBeVisible();
  await expect(heading(page, 'You took your seat elsewhere')).toBeVisible();
  await button(page, 'Play here instead').click();
  await expect(heading(page, 'Your table')).toBeVisible();
  await expect(heading(second, 'You took your seat elsewhere')).toBeVisible();
  await page.context().close();
});

test('a table that never was is said not to be', async ({ page }) => {
  await page.goto('/t/0000-0000');
  await page.getByLabel('Your name').fill('Nobody');
  await expect(button(page, 'Sit down')).toHaveAttribute('aria-disabled', 'false');
  await button(page, 'Sit down').click();
  await expect(heading(page, 'There is no such table')).toBeVisible();
  await axe(page);
});
