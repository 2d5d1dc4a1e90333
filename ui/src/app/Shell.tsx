import { type ReactNode, useEffect } from 'react';
import { Icon } from '../ui/Icon.tsx';

/** The frame of the small pages: the name on top, one card below. */
export function Shell(props: { title?: string; children: ReactNode }) {
  const title = props.title ?? 'Umbrella';
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <main className="page page-narrow">
      <p className="brand">
        <Icon name="umbrella" /> {title}
      </p>
      <div className="card stack">{props.children}</div>
    </main>
  );
}
