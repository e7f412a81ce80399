import { expect, test, type Page } from '@playwright/test';

import { axe, photograph } from './guest';

const now = (page: Page) => page.getByTestId('now');
const shown = (page: Page) => page.getByTestId('profile').getAttribute('data-profile');
const offset = (page: Page) => page.locator('#profile').evaluate((pane) => pane.scrollTop);

/** Lets the page paint for that long. */
const paint = (page: Page, millis: number) =>
  page.evaluate(
    (wait) =>
      new Promise<void>((done) => {
        const until = performance.now() + wait;
        const frame = (at: number) => (at > until ? done() : void requestAnimationFrame(frame));
        requestAnimationFrame(frame);
      }),
    millis,
  );

test('profiles are shown one after another, scrolled and pointed at', async ({ page }) => {
  await page.goto('/dead-profiles?seed=4&lang=en');
  await expect(now(page)).not.toBeEmpty();
  const first = await shown(page);
  await expect.poll(() => offset(page)).toBeGreaterThan(50);
  await expect(page.getByTestId('cursor')).toBeVisible();
  await expect.poll(() => shown(page)).not.toBe(first);
});

test('what is paused stands still, and goes on', async ({ page }) => {
  await page.goto('/dead-profiles?seed=4&show=2&lang=en');
  await expect(now(page)).not.toBeEmpty();
  await page.getByRole('button', { name: 'Pause' }).click();
  const [profile, place] = [await shown(page), await offset(page)];
  await paint(page, 3000);
  expect(await shown(page)).toBe(profile);
  expect(await offset(page)).toBe(place);
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect.poll(() => shown(page)).not.toBe(profile);
});

test('every profile can be reached with the keyboard, is accessible, and frames run nothing', async ({
  page,
}) => {
  const hosts = new Set<string>();
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  await page.goto('/dead-profiles?seed=1&lang=en');
  await expect(now(page)).not.toBeEmpty();
  await page.keyboard.press('Space');
  await expect(page.getByRole('button', { name: 'Go on' })).toBeVisible();
  const frame = page.locator('iframe');
  const seen = new Set<string>();
  for (let step = 0; step < 5; step += 1) {
    const id = (await shown(page)) ?? '';
    seen.add(id);
    if ((await frame.count()) > 0) {
      await expect(frame).toHaveAttribute('sandbox', 'allow-same-origin');
      await expect(page.frameLocator('iframe').getByText('something is in the box')).toBeAttached();
    }
    await photograph(page, `profiles-${id}`);
    // Axe waits for ever for a frame that runs no scripts; around it all is as elsewhere.
    if ((await frame.count()) === 0) await axe(page);
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => shown(page)).not.toBe(id);
  }
  expect(seen.size).toBe(5);
  expect([...hosts]).toEqual([new URL(page.url()).host]);
});

test('who asks for reduced motion sees nothing move', async ({ page }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await page.goto('/dead-profiles?seed=4&show=2&lang=de');
  await expect(page.getByText('Nichts bewegt sich, wie Ihr System es verlangt.')).toBeVisible();
  const first = await shown(page);
  await expect.poll(() => shown(page)).not.toBe(first);
  expect(await offset(page)).toBe(0);
  await expect(page.getByTestId('cursor')).toHaveCount(0);
});

test('a locked house asks for the password and says what is wrong', async ({ page }) => {
  let answer = { status: 401, headers: {} };
  let open = false;
  await page.route('**/api/gate', async (route) => {
    if (route.request().method() === 'GET') {
      return route.fulfill({ json: { needed: true, open } });
    }
    open = answer.status === 204;
    return route.fulfill(answer);
  });
  await page.goto('/dead-profiles?lang=ru');
  await expect(page.getByRole('heading', { name: 'Эта комната заперта.' })).toBeVisible();
  await photograph(page, 'profiles-gate');
  await axe(page);
  const field = page.getByLabel('Пароль');
  await field.fill('никто не знает');
  await field.press('Enter');
  await expect(page.getByRole('alert')).toHaveText('Это не пароль.');
  await expect(field).toHaveValue('');
  await expect(field).toBeFocused();
  answer = { status: 429, headers: { 'retry-after': '12' } };
  await field.fill('никто не знает');
  await field.press('Enter');
  await expect(page.getByRole('alert')).toContainText('12');
  answer = { status: 204, headers: {} };
  await field.fill('открыто');
  await field.press('Enter');
  await expect(now(page)).not.toBeEmpty();
});

test('the recorder saves what the player reads', async ({ page }) => {
  await page.goto('/dead-profiles/record?lang=en');
  await page.getByRole('button', { name: 'Begin' }).click();
  const area = await page.getByTestId('area').boundingBox();
  if (!area) throw new Error('there is no area');
  for (let step = 0; step < 20; step += 1) {
    await page.mouse.move(area.x + 20 * step, area.y + 10 * step);
    await page.mouse.wheel(0, 60);
  }
  await axe(page);
  await page.getByRole('button', { name: 'End' }).click();
  await expect(page.getByTestId('recorded')).toContainText('too short for a segment');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Save the file' }).click();
  const stream = await (await download).createReadStream();
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  const recording = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
  expect(recording['format']).toBe('parlour-movement 1');
  expect((recording['mouse'] as unknown[]).length).toBeGreaterThan(2);
  expect((recording['scroll'] as unknown[]).length).toBeGreaterThan(2);
});
