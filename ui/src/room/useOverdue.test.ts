import { act, renderHook } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { useOverdue } from './useOverdue.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('says that a picture is overdue only as long as it is waited for, and each time anew', () => {
  const { result, rerender } = renderHook(({ waiting }) => useOverdue(waiting, 1000), {
    initialProps: { waiting: true },
  });
  const pass = (ms: number) => act(() => vi.advanceTimersByTime(ms));
  pass(900);
  expect(result.current).toBe(false);
  pass(200);
  expect(result.current).toBe(true);
  rerender({ waiting: false });
  expect(result.current).toBe(false);
  rerender({ waiting: true });
  pass(900);
  expect(result.current).toBe(false);
  pass(200);
  expect(result.current).toBe(true);
});
