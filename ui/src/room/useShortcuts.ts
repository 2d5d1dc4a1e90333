import { useEffect } from 'react';
import { type ShortcutAction, shortcutOf } from './shortcuts.ts';

/** Listens for the call's keys, except while a dialog is open. */
export function useShortcuts(act: (action: ShortcutAction) => void): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || document.querySelector('dialog[open]') !== null) return;
      const action = shortcutOf(event);
      if (action === null) return;
      event.preventDefault();
      act(action);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [act]);
}
