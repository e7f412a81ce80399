import { expect, test } from '@playwright/test';

import { axe, photograph } from './guest';
import { button, guest, heading, join, openTable } from './tables';

test('the host hands the table to another, who begins the game', async ({ browser }) => {
  const [ada, bob] = await Promise.all([guest(browser), guest(browser)]);
  const address = await openTable(ada, 'Ada');
  await join(bob, address, 'Bob');
  await expect(ada.getByTestId('member')).toHaveCount(2);
  await expect(button(bob, 'Begin')).toHaveCount(0);
  await expect(button(bob, 'Make Ada the host')).toHaveCount(0);
  await photograph(ada, 'host-gathering');

  await button(ada, 'Make Bob the host').click();
  await photograph(ada, 'host-ask');
  await button(ada, 'Hand it over').click();
  await expect(heading(bob, 'Your table')).toBeVisible();
  await expect(heading(ada, 'Bob’s table')).toBeVisible();
  await expect(bob.getByTestId('said')).toContainText('You are the host now.');
  await expect(ada.getByTestId('said')).toContainText('Bob is the host now.');
  await expect(button(ada, 'Begin')).toHaveCount(0);
  await axe(bob);

  await button(bob, 'Begin').click();
  await expect(button(bob, 'Stop')).toBeVisible();
  await expect(button(ada, 'Leave')).toBeVisible();
});
