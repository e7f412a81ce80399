/**
 * Browser tests against a real server with a real model. Run from frontend/:
 *
 *     npm run build && cargo build && npm run test:browser
 *
 * PARLOUR_TEST_URL   a server that is already running; without it one is started
 * PARLOUR_CHROMIUM   the browser; /usr/bin/chromium without it
 */
import { join, resolve } from 'node:path';

import { defineConfig } from '@playwright/test';

const given = process.env['PARLOUR_TEST_URL'];
const started = '127.0.0.1:18080';
const root = resolve(__dirname, '../..');
const MINUTE = 60_000;

export default defineConfig({
  testDir: '.',
  outputDir: join(root, 'test-results/browser'),
  // One model serves all: games side by side would only wait for each other.
  workers: 1,
  timeout: 10 * MINUTE,
  expect: { timeout: 2 * MINUTE },
  forbidOnly: true,
  reporter: [['list']],
  use: {
    baseURL: given ?? `http://${started}`,
    viewport: { width: 1280, height: 800 },
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env['PARLOUR_CHROMIUM'] ?? '/usr/bin/chromium',
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  ...(given
    ? {}
    : {
        webServer: {
          command: 'target/debug/parlour serve',
          cwd: root,
          url: `http://${started}/health/ready`,
          timeout: 2 * MINUTE,
          stdout: 'pipe' as const,
          env: {
            PARLOUR_BIND: started,
            PARLOUR_DATA: join(root, `test-results/data-${process.pid}`),
            PARLOUR_TYPING: '0',
          },
        },
      }),
});
