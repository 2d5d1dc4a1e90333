import { useCallback, useEffect, useRef, useState } from 'react';
import { errorText, needsLogin } from '../api/errors.ts';
import { parseRoute } from '../app/route.ts';
import { replaceRoute } from '../app/useRoute.ts';

/** Something that is asked of the server. What was known stays while a newer answer is awaited. */
export type Data<T> = {
  value: T | null;
  /** Why the last attempt failed. */
  error: string | null;
  reload: () => Promise<void>;
};

/** Asks at once, again every `everyMs` while the page is visible, and whenever it is told to. */
export function useData<T>(ask: () => Promise<T>, everyMs: number | null = null): Data<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const current = useRef(0);

  const reload = useCallback(async () => {
    const ticket = ++current.current;
    try {
      const answer = await ask();
      if (ticket !== current.current) return;
      setValue(answer);
      setError(null);
    } catch (failure) {
      if (ticket !== current.current) return;
      if (goToLogin(failure)) return;
      setError(errorText(failure));
    }
  }, [ask]);

  useEffect(() => {
    void reload();
    if (everyMs === null) return;
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void reload();
    }, everyMs);
    return () => clearInterval(timer);
  }, [reload, everyMs]);

  // An answer to a question of a page that is gone must not be shown on the next one.
  useEffect(
    () => () => {
      current.current += 1;
    },
    [],
  );

  return { value, error, reload };
}

/** Something the admin does: one at a time, with its failure in words. */
export function useAction() {
  const [busy, setBusy] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);

  const run = useCallback(async (what: string, act: () => Promise<void>) => {
    setBusy(what);
    setError(null);
    try {
      await act();
      return true;
    } catch (failure) {
      if (!goToLogin(failure)) setError(errorText(failure));
      return false;
    } finally {
      setBusy(null);
    }
  }, []);

  return { busy, error, run };
}

/** The session may have ended meanwhile: sign in, then come back here. */
function goToLogin(failure: unknown): boolean {
  if (!needsLogin(failure)) return false;
  replaceRoute({ kind: 'login', next: parseRoute(location.hash) });
  return true;
}
