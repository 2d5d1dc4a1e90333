import { useState } from 'react';
import { api } from '../api/client.ts';
import type { AllowedServer, TrunkEntry, TrunkOverview, TrunkRefusal } from '../api/trunkTypes.ts';
import { Button } from '../ui/Button.tsx';
import { Confirm } from '../ui/Confirm.tsx';
import { Loading } from '../ui/Loading.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { AllowServer } from './AllowServer.tsx';
import { dateText } from './format.ts';
import { type Chosen, JoinServer } from './JoinServer.tsx';
import { NearbyServers } from './NearbyServers.tsx';
import { NetworkSection } from './NetworkSection.tsx';
import { StateTag, useCountdown } from './StateTag.tsx';
import { allowedText, neighbourText, roomsText, stateText } from './serverForms.ts';
import { useAction, useData } from './useData.ts';

const REFRESH_MS = 2_000;

/** What is about to be taken away. */
type Doomed =
  | { kind: 'entry'; key: string; name: string }
  | { kind: 'allowed'; key: string; name: string };

/** Other servers with which rooms are shared. */
export function ServersTab() {
  const trunks = useData(api.trunks, REFRESH_MS);
  const [allowing, setAllowing] = useState(false);
  const [doomed, setDoomed] = useState<Doomed | null>(null);
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const removal = useAction();

  async function remove() {
    if (doomed === null) return;
    const { kind, key } = doomed;
    const act = () => (kind === 'entry' ? api.removeTrunk(key) : api.revokeServer(key));
    if (!(await removal.run('remove', act))) return;
    setDoomed(null);
    await trunks.reload();
  }

  const reload = () => void trunks.reload();
  const overview = trunks.value;
  return (
    <div className="stack">
      {trunks.error !== null && <ErrorNote>{trunks.error}</ErrorNote>}
      {overview === null && trunks.error === null && <Loading what="panel" />}
      {overview !== null && (
        <>
          <Dialled entries={overview.entries} onChanged={reload} onRemove={setDoomed} />
          <Allowed
            servers={overview.allowed}
            onAllow={() => setAllowing(true)}
            onRemove={setDoomed}
          />
        </>
      )}
      {overview !== null && <NetworkSection />}
      {overview !== null && <NearbyServers onChoose={(url) => setChosen({ url })} />}
      <JoinServer chosen={chosen} onAdded={reload} />
      {overview !== null && <ThisServer overview={overview} />}
      {overview !== null && <Refusals refusals={overview.refusals} />}
      <AllowServer open={allowing} onMade={reload} onClose={() => setAllowing(false)} />
      <Confirm
        open={doomed !== null}
        title={doomed?.kind === 'allowed' ? 'Revoke this secret?' : 'Remove this server?'}
        text={
          doomed?.kind === 'allowed'
            ? `${doomed.name} is disconnected at once and cannot come back with its secret.`
            : `${doomed?.name ?? ''} is disconnected, and people there are not seen here any more.`
        }
        action={doomed?.kind === 'allowed' ? 'Revoke' : 'Remove'}
        busy={removal.busy !== null}
        error={removal.error}
        onConfirm={() => void remove()}
        onClose={() => setDoomed(null)}
      />
    </div>
  );
}

function Dialled(props: {
  entries: TrunkEntry[];
  onChanged: () => void;
  onRemove: (doomed: Doomed) => void;
}) {
  return (
    <section className="card" aria-label="Joined servers">
      <h2>Joined servers</h2>
      {props.entries.length === 0 && (
        <p className="hint">This server has joined no other one. Join one below.</p>
      )}
      <ul className="plain-list">
        {props.entries.map((entry) => (
          <EntryRow
            key={entry.key}
            entry={entry}
            onChanged={props.onChanged}
            onRemove={() => props.onRemove({ kind: 'entry', key: entry.key, name: entry.url })}
          />
        ))}
      </ul>
    </section>
  );
}

function EntryRow(props: { entry: TrunkEntry; onChanged: () => void; onRemove: () => void }) {
  const { entry } = props;
  const { text, tone } = stateText(entry);
  const left = useCountdown(entry.retryInS);
  const now = Date.now() / 1000;
  const { busy, error, run } = useAction();
  const waits = entry.state === 'refused' || entry.state === 'reconnecting';

  async function retry() {
    if (await run('retry', () => api.retryTrunk(entry.key))) props.onChanged();
  }

  return (
    <li>
      <div className="list-row">
        <div className="list-text">
          <strong>{entry.neighbour?.name ?? entry.url}</strong>
          <span>
            <StateTag text={text} tone={tone} />
            {waits && left !== null && <span className="hint"> again in {left} s</span>}
          </span>
          {entry.neighbour !== null && (
            <span className="hint">{neighbourText(entry.neighbour, now)}</span>
          )}
          <span className="hint">
            {entry.neighbour !== null && `${entry.url} · `}
            {roomsText(entry.rooms)}
            {!entry.moderate && ' · its moderators have no say here'}
            {entry.insecure && ' · without encryption'}
            {entry.configured && ' · set in the configuration'}
          </span>
          {entry.why !== null && <span className="reason">{entry.why}</span>}
        </div>
        <div className="row-actions">
          {waits && (
            <Button
              kind="quiet"
              busy={busy !== null}
              aria-label={`Try ${entry.url} now`}
              onClick={() => void retry()}
            >
              Try now
            </Button>
          )}
          {!entry.configured && (
            <Button kind="quiet" aria-label={`Remove ${entry.url}`} onClick={props.onRemove}>
              Remove
            </Button>
          )}
        </div>
      </div>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
      {entry.fingerprint !== null && (
        <ConfirmAuthority entry={entry} fingerprint={entry.fingerprint} onDone={props.onChanged} />
      )}
    </li>
  );
}

/** Asks whether an unknown authority is the right one: once, then it is remembered. */
function ConfirmAuthority(props: { entry: TrunkEntry; fingerprint: string; onDone: () => void }) {
  const { busy, error, run } = useAction();
  const { entry, fingerprint } = props;

  async function confirm() {
    const done = await run('confirm', () => api.confirmTrunk(entry.key, { fingerprint }));
    if (done) props.onDone();
  }

  return (
    <div className="stack confirm-box">
      <p>
        Nobody else vouches for this server. Compare the fingerprint with the one on the other
        server’s page of servers, under “This server”:
      </p>
      <code className="fingerprint">{fingerprint}</code>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
      <div>
        <Button kind="primary" busy={busy !== null} onClick={() => void confirm()}>
          It is the same: trust it
        </Button>
      </div>
    </div>
  );
}

function Allowed(props: {
  servers: AllowedServer[];
  onAllow: () => void;
  onRemove: (doomed: Doomed) => void;
}) {
  return (
    <section className="card" aria-label="Servers that may join">
      <div className="row head-row">
        <h2>Servers that may join</h2>
        <Button kind="primary" onClick={props.onAllow}>
          Allow a server to join
        </Button>
      </div>
      {props.servers.length === 0 && <p className="hint">No other server may join this one.</p>}
      <ul className="plain-list">
        {props.servers.map((server) => (
          <AllowedRow
            key={server.key}
            server={server}
            onRemove={() => props.onRemove({ kind: 'allowed', key: server.key, name: server.name })}
          />
        ))}
      </ul>
    </section>
  );
}

function AllowedRow({ server, onRemove }: { server: AllowedServer; onRemove: () => void }) {
  const now = Date.now() / 1000;
  const { text, tone } = allowedText(server, now);
  return (
    <li>
      <div className="list-row">
        <div className="list-text">
          <strong>{server.name}</strong>
          <span>
            <StateTag text={text} tone={tone} />
          </span>
          {server.connected.map((neighbour) => (
            <span className="hint" key={neighbour.node}>
              {neighbour.name} · {neighbourText(neighbour, now)}
            </span>
          ))}
          <span className="hint">
            {roomsText(server.rooms)}
            {!server.moderate && ' · its moderators have no say here'}
            {server.configured && ' · set in the configuration'}
          </span>
        </div>
        {!server.configured && (
          <Button kind="quiet" aria-label={`Revoke ${server.name}`} onClick={onRemove}>
            Revoke
          </Button>
        )}
      </div>
    </li>
  );
}

function ThisServer({ overview }: { overview: TrunkOverview }) {
  return (
    <section className="card stack">
      <h2>This server</h2>
      <dl className="facts">
        <div>
          <dt>Name</dt>
          <dd>{overview.name}</dd>
        </div>
        <div>
          <dt>Id</dt>
          <dd>{overview.node}</dd>
        </div>
        <div>
          <dt>Carries</dt>
          <dd>{overview.media ? 'Sound, pictures and messages' : 'Messages only'}</dd>
        </div>
      </dl>
      {overview.fingerprint !== null && (
        <div>
          <h3>Fingerprint of its certificate authority</h3>
          <code className="fingerprint">{overview.fingerprint}</code>
        </div>
      )}
    </section>
  );
}

function Refusals({ refusals }: { refusals: TrunkRefusal[] }) {
  if (refusals.length === 0) return null;
  return (
    <section className="card stack">
      <h2>Refused lately</h2>
      <ul className="plain-list">
        {refusals.map((refusal, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two may be alike, and none ever changes
          <li key={`${refusal.at}-${index}`} className="refusal">
            <span>{refusal.why}</span>
            <span className="hint">
              {refusal.name !== null && `${refusal.name} · `}
              {refusal.address} · {dateText(refusal.at)}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
