import { useCallback, useEffect, useRef, useState } from 'react';
import { api } from '../api/client.ts';
import { errorText } from '../api/errors.ts';
import type { CheckPlan } from '../api/types.ts';
import { Shell } from '../app/Shell.tsx';
import { Button } from '../ui/Button.tsx';
import { copyText } from '../ui/CopyField.tsx';
import { Icon } from '../ui/Icon.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { Spinner } from '../ui/Spinner.tsx';
import { type Protocol, reachPage, reachPort, reachSocket } from './probe.ts';
import {
  gather,
  type Ports,
  portsState,
  type Row,
  type RowState,
  reachedText,
  report,
  type Verdict,
  verdict,
} from './verdict.ts';

/** Machines with more cores have more ports; these are enough to see a firewall. */
const MOST_PORTS = 8;

type Run = { rows: Row[]; result: Verdict | null; error: string | null };
const NOTHING: Run = { rows: [], result: null, error: null };

/** Says whether calls will work from where this browser is. `token` is an invite's, if it is a guest's. */
export function CheckPage({ token }: { token: string | null }) {
  const [run, setRun] = useState<Run>(NOTHING);
  const [attempt, setAttempt] = useState(0);
  const again = useCallback(() => setAttempt((n) => n + 1), []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new attempt checks again
  useEffect(() => {
    let current = true;
    setRun(NOTHING);
    const change = (next: (before: Run) => Run) => current && setRun(next);
    const show = (id: string, title: string, state: RowState) =>
      change((before) => ({ ...before, rows: withRow(before.rows, { id, title, state }) }));
    checkAll(token, show).then(
      (result) => change((before) => ({ ...before, result })),
      (error) => change((before) => ({ ...before, error: errorText(error) })),
    );
    return () => {
      current = false;
    };
  }, [token, attempt]);

  const isDone = run.result !== null || run.error !== null;
  return (
    <Shell title="Connection check">
      <div className="stack" data-testid="check" data-state={run.result?.kind ?? 'checking'}>
        <h1>Will calls work from here?</h1>
        <div role="status" aria-live="polite">
          {run.result !== null && <Result result={run.result} />}
          {!isDone && <p>Checking what this browser reaches. This takes up to ten seconds.</p>}
        </div>
        {run.error !== null && <ErrorNote>{run.error}</ErrorNote>}
        <ul className="check-list">
          {run.rows.map((row) => (
            <li key={row.id} data-testid={`check-${row.id}`} data-state={row.state.kind}>
              <Mark state={row.state} />
              <div>
                <strong>{row.title}</strong>
                <p>{row.state.kind === 'checking' ? 'Checking…' : row.state.text}</p>
              </div>
            </li>
          ))}
        </ul>
        <div className="row">
          <Button kind="primary" onClick={again} disabled={!isDone}>
            Check again
          </Button>
          {run.result !== null && (
            <CopyReport text={report(run.rows, run.result, navigator.userAgent)} />
          )}
        </div>
      </div>
    </Shell>
  );
}

function withRow(rows: Row[], row: Row): Row[] {
  const at = rows.findIndex((it) => it.id === row.id);
  return at < 0 ? [...rows, row] : rows.with(at, row);
}

function Result({ result }: { result: Verdict }) {
  return (
    <p className={`check-verdict check-${result.kind}`}>
      <Icon name={result.kind === 'good' ? 'check' : result.kind === 'slow' ? 'slow' : 'warning'} />
      <strong>{result.text}</strong>
    </p>
  );
}

function Mark({ state }: { state: RowState }) {
  if (state.kind === 'checking') return <Spinner />;
  return (
    <span className={`check-mark check-${state.kind}`}>
      <Icon name={state.kind === 'good' ? 'check' : 'warning'} />
    </span>
  );
}

function CopyReport({ text }: { text: string }) {
  const [copied, setCopied] = useState<boolean | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  // The field to select from appears where the text could not be copied.
  const copy = async () => setCopied(await copyText(text, null));
  useEffect(() => {
    if (copied === false) field.current?.select();
  }, [copied]);
  return (
    <>
      <Button onClick={() => void copy()}>
        <Icon name="copy" />
        {copied === true ? 'Copied' : 'Copy result'}
      </Button>
      {copied === false && (
        <textarea ref={field} readOnly aria-label="Result" value={text} rows={6} />
      )}
    </>
  );
}

/** Tries all ways at once; the page first, which knows them. */
async function checkAll(
  token: string | null,
  show: (id: string, title: string, state: RowState) => void,
): Promise<Verdict> {
  const start = (id: string, title: string) => show(id, title, { kind: 'checking' });
  const page = 'This page';
  start('page', page);
  const [reached, plan] = await Promise.all([reachPage(), api.checkPlan(token)]);
  show('page', page, { kind: 'good', text: reached.reached ? reachedText(reached) : 'Reached.' });
  const socket = async () => {
    const title = 'Signalling (WebSocket)';
    start('socket', title);
    const result = await reachSocket(api.checkEchoPath(token));
    const problem = 'Not reached. A proxy in front of the server must pass WebSockets on.';
    show(
      'socket',
      title,
      result.reached ? { kind: 'good', text: reachedText(result) } : { kind: 'bad', text: problem },
    );
    return result.reached;
  };
  const exchange = async (port: number, sdp: string) =>
    (await api.checkOffer(token, { port, sdp })).sdp;
  const ports = plan.ports.slice(0, MOST_PORTS);
  const media = async (protocol: Protocol): Promise<Ports | null> => {
    if (!plan[protocol]) return null;
    const title = `Sound and pictures by ${protocol.toUpperCase()}`;
    start(protocol, title);
    const results = await Promise.all(ports.map((port) => reachPort(exchange, port, protocol)));
    const found = gather(ports, results);
    show(protocol, title, portsState(protocol, found));
    return found;
  };
  const relay = async ({ url, server }: ReturnType<typeof relaysOf>[number]) => {
    start(url, `Relay ${url}`);
    const [port = 0] = ports;
    const result = await reachPort(exchange, port, 'udp', server);
    const problem = 'Not reached, or it does not pass on to the server.';
    show(
      url,
      `Relay ${url}`,
      result.reached ? { kind: 'good', text: reachedText(result) } : { kind: 'bad', text: problem },
    );
    return result.reached;
  };
  const [isOpen, udp, tcp, relays] = await Promise.all([
    socket(),
    media('udp'),
    media('tcp'),
    Promise.all(relaysOf(plan).map(relay)),
  ]);
  return verdict({ socket: isOpen, udp, tcp, relays });
}

/** Each address of a relay by itself. */
function relaysOf(plan: CheckPlan) {
  return plan.relays.flatMap(({ urls, ...login }) =>
    urls.map((url) => ({ url, server: { urls: [url], ...login } })),
  );
}
