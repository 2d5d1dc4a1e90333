import { Button } from './Button.tsx';

/** A page whose content could not be had. */
export function Failure(props: { title: string; text: string; onRetry?: () => void }) {
  return (
    <main className="page page-narrow">
      <div className="card stack" role="alert">
        <h1>{props.title}</h1>
        <p>{props.text}</p>
        {props.onRetry !== undefined && (
          <Button kind="primary" onClick={props.onRetry}>
            Try again
          </Button>
        )}
      </div>
    </main>
  );
}
