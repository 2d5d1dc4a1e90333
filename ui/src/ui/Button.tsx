import type { ButtonHTMLAttributes } from 'react';
import { Spinner } from './Spinner.tsx';

type Props = ButtonHTMLAttributes<HTMLButtonElement> & {
  kind?: 'primary' | 'plain' | 'quiet' | 'danger';
  /** Something is under way: the button shows it and takes no second click. */
  busy?: boolean;
};

export function Button({ kind = 'plain', busy = false, children, className, ...rest }: Props) {
  return (
    <button
      type="button"
      {...rest}
      className={`button button-${kind} ${className ?? ''}`}
      disabled={rest.disabled === true || busy}
      aria-busy={busy || undefined}
    >
      {busy && <Spinner />}
      {children}
    </button>
  );
}
