import { Spinner } from './Spinner.tsx';

/** Fills a page or a panel while something loads; shows itself only after a moment. */
export function Loading(props: { what: 'page' | 'panel'; text?: string }) {
  return (
    <div className={`loading loading-${props.what}`} role="status">
      <Spinner /> {props.text ?? 'Loading…'}
    </div>
  );
}
