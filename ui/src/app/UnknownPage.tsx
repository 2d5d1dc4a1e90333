import { hrefOf } from './route.ts';
import { Shell } from './Shell.tsx';

export function UnknownPage() {
  return (
    <Shell>
      <h1>There is nothing here</h1>
      <p>The link may have been cut off on its way. Open it again as a whole.</p>
      <p>
        <a href={hrefOf({ kind: 'start' })}>Go to the start page</a>
      </p>
    </Shell>
  );
}
