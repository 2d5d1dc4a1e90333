import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { mockApi } from './mock/plugin.ts';

/** The server behind `npm run dev`. */
const SERVER = process.env.UMBRELLA_URL ?? 'https://localhost:8081';

export default defineConfig(({ mode }) => ({
  // Relative, so that the page works below any path prefix: the server writes the prefix into
  // <base href>, and everything else follows from that.
  base: './',
  plugins: [react(), mode === 'mock' ? mockApi() : null],
  build: {
    target: 'es2022',
    // Inlined data URLs would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    chunkSizeWarningLimit: 800,
  },
  server: {
    proxy:
      mode === 'mock'
        ? {}
        : Object.fromEntries(
            ['/api', '/rtc', '/trust'].map((path) => [
              path,
              { target: SERVER, secure: false, ws: true },
            ]),
          ),
  },
  test: {
    environment: 'jsdom',
    setupFiles: ['./test/setup.ts'],
    include: ['src/**/*.test.{ts,tsx}'],
    maxWorkers: 2,
    testTimeout: 60_000,
  },
}));
