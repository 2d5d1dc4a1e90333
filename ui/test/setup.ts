import '@testing-library/jest-dom/vitest';
import { cleanup, configure } from '@testing-library/react';
import { afterEach } from 'vitest';

// A busy machine must not fail a test: waits end when the thing is there.
configure({ asyncUtilTimeout: 20_000 });

// As in index.html; jsdom has no notion of a secure context.
const base = document.createElement('base');
base.href = '/';
document.head.append(base);
Object.assign(globalThis, { isSecureContext: false });

afterEach(() => {
  cleanup();
  sessionStorage.clear();
  localStorage.clear();
});
