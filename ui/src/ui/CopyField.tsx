import { useId, useRef, useState } from 'react';
import { Button } from './Button.tsx';
import { Icon } from './Icon.tsx';

/** How long the button says that it has worked. */
const DONE_MS = 2_500;

/** A text to take along, with a button that copies it. */
export function CopyField(props: { label: string; value: string; testId: string }) {
  const [done, setDone] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();

  async function copy() {
    if (!(await copyText(props.value, input.current))) return;
    setDone(true);
    setTimeout(() => setDone(false), DONE_MS);
  }

  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      <div className="copy-row">
        <input
          ref={input}
          id={id}
          data-testid={props.testId}
          readOnly
          value={props.value}
          onFocus={(event) => event.target.select()}
        />
        <Button onClick={() => void copy()}>
          <Icon name={done ? 'check' : 'copy'} /> {done ? 'Copied' : 'Copy'}
        </Button>
        <span className="visually-hidden" role="status">
          {done ? 'Copied' : ''}
        </span>
      </div>
    </div>
  );
}

/** Over plain HTTP there is no clipboard: then the text is at least selected. */
export async function copyText(text: string, input: HTMLInputElement | null): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    input?.select();
    return false;
  }
}
