import { api } from '../api/client.ts';
import type { NearbyServer } from '../api/trunkTypes.ts';
import { Button } from '../ui/Button.tsx';
import { StateTag } from './StateTag.tsx';
import { useData } from './useData.ts';

const REFRESH_MS = 5_000;

/** Servers that are announced on the local network: an address less to type. */
export function NearbyServers(props: { onChoose: (url: string) => void }) {
  const { value } = useData(api.nearbyServers, REFRESH_MS);
  if (value === null || !value.listening) return null;
  return (
    <section className="card" aria-label="On this network">
      <h2>On this network</h2>
      <p className="hint">
        {value.servers.length === 0
          ? 'No other server is announced on this network.'
          : 'Whoever is on this network can be announced under any name. A join secret made there is needed in any case.'}
      </p>
      <ul className="plain-list">
        {value.servers.map((server) => (
          <NearbyRow
            key={`${server.node} ${server.url} ${server.name}`}
            server={server}
            onChoose={() => props.onChoose(server.url)}
          />
        ))}
      </ul>
    </section>
  );
}

function NearbyRow({ server, onChoose }: { server: NearbyServer; onChoose: () => void }) {
  return (
    <li>
      <div className="list-row">
        <div className="list-text">
          <strong>{server.name}</strong>
          {server.linked && (
            <span>
              <StateTag text="Linked" tone="good" />
            </span>
          )}
          <span className="hint">{server.url}</span>
        </div>
        {!server.linked && (
          <Button kind="quiet" aria-label={`Join ${server.name}`} onClick={onChoose}>
            Join…
          </Button>
        )}
      </div>
    </li>
  );
}
