export type ShortcutAction =
  | 'microphone'
  | 'camera'
  | 'screen'
  | 'chat'
  | 'people'
  | 'details'
  | 'layout'
  | 'help'
  | 'close';

/** One key each; none leaves the call, since that cannot be taken back. */
export const SHORTCUTS: readonly { key: string; action: ShortcutAction; label: string }[] = [
  { key: 'm', action: 'microphone', label: 'Microphone on or off' },
  { key: 'v', action: 'camera', label: 'Camera on or off' },
  { key: 's', action: 'screen', label: 'Share the screen or stop' },
  { key: 'c', action: 'chat', label: 'Chat' },
  { key: 'p', action: 'people', label: 'Participants' },
  { key: 'l', action: 'layout', label: 'Grid or speaker view' },
  { key: 'd', action: 'details', label: 'Connection details' },
  { key: '?', action: 'help', label: 'This help' },
  { key: 'Escape', action: 'close', label: 'Close the panel' },
];

type Press = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'repeat' | 'target'>;

/** What a key press means: nothing while somebody types, or with a modifier. */
export function shortcutOf(press: Press): ShortcutAction | null {
  if (press.ctrlKey || press.metaKey || press.altKey || press.repeat) return null;
  const found = SHORTCUTS.find((shortcut) => shortcut.key === normal(press.key));
  if (found === undefined) return null;
  return isTyping(press.target) && found.action !== 'close' ? null : found.action;
}

function normal(key: string): string {
  return key.length === 1 ? key.toLowerCase() : key;
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  return ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName);
}
