import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

import { mockServer } from './dev/mock.ts';
import { silero } from './dev/silero.ts';

/** Where `npm run dev` finds the real server. */
const server = process.env['PARLOUR_DEV_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig(({ mode }) => ({
  plugins: [svelte(), silero(), ...(mode === 'mock' ? [mockServer()] : [])],
  build: { target: 'es2022', assetsInlineLimit: 0 },
  // Worklets are modules.
  worker: { format: 'es' },
  server:
    mode === 'mock'
      ? {}
      : {
          proxy: {
            '/api': server,
            // The server holds the Origin of a socket against the Host: both stay the browser's.
            '/ws': { target: server.replace(/^http/, 'ws'), ws: true },
          },
        },
  test: { include: ['{src,dev}/**/*.test.ts'], environment: 'node' },
}));
