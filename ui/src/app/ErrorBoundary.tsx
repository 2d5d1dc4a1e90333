import { Component, type ErrorInfo, type ReactNode } from 'react';
import { Button } from '../ui/Button.tsx';

type Props = { children: ReactNode };
type State = { failed: boolean };

/** The last net: a fault of the page itself, also a chunk that no longer exists after an update. */
export class ErrorBoundary extends Component<Props, State> {
  override state: State = { failed: false };

  static getDerivedStateFromError(): State {
    return { failed: true };
  }

  override componentDidCatch(error: Error, info: ErrorInfo): void {
    // biome-ignore lint/suspicious/noConsole: the only place where a developer can find it
    console.error(error, info.componentStack);
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <main className="page page-narrow">
        <div className="card stack" role="alert">
          <h1>This page has failed</h1>
          <p>It may have been updated in the meantime. Reloading usually helps.</p>
          <Button kind="primary" onClick={() => location.reload()}>
            Reload
          </Button>
        </div>
      </main>
    );
  }
}
