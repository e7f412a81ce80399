/** What people do at a table, in the words of the page. */
import { expect, type Browser, type Page } from '@playwright/test';

/** A person with a browser of their own. */
export async function guest(browser: Browser): Promise<Page> {
  const context = await browser.newContext();
  return context.newPage();
}

export const heading = (page: Page, name: string | RegExp) => page.getByRole('heading', { name });
export const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

/** Opens a table for these many people, two rounds long, and gives its address. */
export async function openTable(
  page: Page,
  name: string,
  choose: (page: Page) => Promise<void> = async () => {},
): Promise<string> {
  await page.goto('/tables');
  await page.getByRole('link', { name: 'Open a table' }).click();
  await page.getByLabel('Your name').fill(name);
  await button(page, 'Rounds: one fewer').click();
  // Pictures and findings take their time, and nobody may run out of it meanwhile.
  const more = button(page, 'Time for each turn: one more');
  while ((await more.getAttribute('aria-disabled')) === 'false') await more.click();
  await choose(page);
  const submit = button(page, 'Open the table');
  await expect(submit).toHaveAttribute('aria-disabled', 'false');
  await submit.click();
  await expect(page).toHaveURL(/\/t\/[\w-]+$/);
  await expect(heading(page, 'Your table')).toBeVisible();
  return page.url();
}

export async function join(
  page: Page,
  address: string,
  name: string,
  as = 'Sit down',
): Promise<void> {
  await page.goto(address);
  await page.getByLabel('Your name').fill(name);
  await expect(button(page, as)).toHaveAttribute('aria-disabled', 'false');
  await button(page, as).click();
  await expect(heading(page, /’s table$/)).toBeVisible();
}
