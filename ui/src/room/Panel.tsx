import { type ReactNode, useEffect, useId, useRef } from 'react';
import { Icon } from '../ui/Icon.tsx';

/** The frame of what opens beside the pictures; takes the focus when it opens. */
export function Panel(props: { title: string; onClose: () => void; children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const id = useId();
  useEffect(() => {
    // A panel with a field of its own to type in has already taken the focus.
    const panel = heading.current?.closest('aside');
    if (panel?.contains(document.activeElement) !== true) heading.current?.focus();
  }, []);
  return (
    <aside className="panel" aria-labelledby={id}>
      <header className="panel-head">
        <h2 id={id} ref={heading} tabIndex={-1}>
          {props.title}
        </h2>
        <button
          type="button"
          className="button button-quiet button-icon"
          aria-label={`Close ${props.title.toLowerCase()}`}
          onClick={props.onClose}
        >
          <Icon name="close" />
        </button>
      </header>
      {props.children}
    </aside>
  );
}
