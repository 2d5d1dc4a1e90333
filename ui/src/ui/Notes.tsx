import type { ReactNode } from 'react';
import { Icon } from './Icon.tsx';

/** Says that something did not work; read out at once. */
export function ErrorNote(props: { children: ReactNode }) {
  return (
    <div className="note note-error" role="alert">
      <Icon name="warning" />
      <div>{props.children}</div>
    </div>
  );
}

/** Says that something has been done, or is good to know. */
export function InfoNote(props: { children: ReactNode }) {
  return (
    <div className="note" role="status">
      <Icon name="info" />
      <div>{props.children}</div>
    </div>
  );
}
