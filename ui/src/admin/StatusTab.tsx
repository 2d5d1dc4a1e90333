import { api } from '../api/client.ts';
import type {
  MemoryStatus,
  ParticipantDetail,
  RoomDetail,
  Status,
  WorkerStatus,
} from '../api/types.ts';
import { hrefOf } from '../app/route.ts';
import { Loading } from '../ui/Loading.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { Addresses } from './Addresses.tsx';
import { CertificateSection } from './CertificateSection.tsx';
import { bitrateText, durationText, memoryText, peopleText } from './format.ts';
import { sourceText } from './RoomPeople.tsx';
import { useData } from './useData.ts';

const REFRESH_MS = 2_000;

/** How the server is doing, by the second. */
export function StatusTab() {
  const { value: status, error, reload } = useData(api.status, REFRESH_MS);
  return (
    <div className="stack">
      {error !== null && <ErrorNote>{error}</ErrorNote>}
      {status === null && error === null && <Loading what="panel" />}
      {status !== null && <Report status={status} onChange={() => void reload()} />}
    </div>
  );
}

function Report({ status, onChange }: { status: Status; onChange: () => void }) {
  const busy = status.rooms.filter((room) => room.participants.length > 0);
  return (
    <>
      <section className="card stack">
        <h2>Server</h2>
        <dl className="facts">
          <div>
            <dt>Version</dt>
            <dd>{status.version}</dd>
          </div>
          <div>
            <dt>Running for</dt>
            <dd>{durationText(status.uptimeS)}</dd>
          </div>
          <div>
            <dt>Memory</dt>
            <dd>{memoryText(status.memory)}</dd>
          </div>
        </dl>
        {status.memory.tight && (
          <ErrorNote>
            Memory is tight: nobody new is let in until others have left. Who is in a room stays.
          </ErrorNote>
        )}
        <MemoryRefusals refused={status.memory.refused} />
        <Addresses title="This page" addresses={status.pageUrls} link />
        <Addresses title="Sound and pictures" addresses={status.mediaAddresses} />
        <p>
          <a href={hrefOf({ kind: 'check', token: null })}>
            Check what this browser reaches of them
          </a>
        </p>
      </section>
      {status.certificate !== null && (
        <CertificateSection certificate={status.certificate} onRetry={onChange} />
      )}
      <section className="card stack">
        <h2>Workers</h2>
        <div className="table-box">
          <table>
            <thead>
              <tr>
                <th scope="col">Worker</th>
                <th scope="col">Load</th>
                <th scope="col">Port</th>
                <th scope="col">Connections</th>
                <th scope="col">Packets in/s</th>
                <th scope="col">Packets out/s</th>
                <th scope="col">Strays</th>
              </tr>
            </thead>
            <tbody>
              {status.workers.map((worker) => (
                <WorkerRow key={worker.index} worker={worker} />
              ))}
            </tbody>
          </table>
        </div>
      </section>
      {busy.length === 0 && (
        <div className="card empty">
          <p>All rooms are empty.</p>
        </div>
      )}
      {busy.map((room) => (
        <RoomReport key={room.summary.name} room={room} />
      ))}
    </>
  );
}

const REFUSED_TEXT: Record<string, string> = {
  join: 'participants',
  track: 'tracks',
  subscription: 'subscriptions',
  camera: 'cameras',
  trunk: 'servers',
};

function MemoryRefusals({ refused }: { refused: MemoryStatus['refused'] }) {
  const some = refused.filter(({ count }) => count > 0);
  if (some.length === 0) return null;
  const list = some.map(({ work, count }) => `${count} ${REFUSED_TEXT[work] ?? work}`);
  return <p className="hint">Refused since the start for want of memory: {list.join(', ')}.</p>;
}

function WorkerRow({ worker }: { worker: WorkerStatus }) {
  const percent = Math.round(worker.busy * 100);
  return (
    <tr>
      <th scope="row">{worker.index}</th>
      <td>
        <meter min={0} max={100} low={60} high={85} optimum={0} value={percent} aria-label="Load" />{' '}
        {percent} %
      </td>
      <td>{worker.port}</td>
      <td>{worker.transports}</td>
      <td>{worker.datagramsIn}</td>
      <td>{worker.datagramsOut}</td>
      <td>{worker.strays}</td>
    </tr>
  );
}

function RoomReport({ room }: { room: RoomDetail }) {
  return (
    <section className="card stack">
      <h2>{room.summary.name}</h2>
      <p className="hint">{peopleText(room.participants.length)}</p>
      <div className="table-box">
        <table>
          <thead>
            <tr>
              <th scope="col">Participant</th>
              <th scope="col">Track</th>
              <th scope="col">Codec</th>
              <th scope="col">Layers</th>
              <th scope="col">Lost</th>
              <th scope="col">Watchers</th>
            </tr>
          </thead>
          <tbody>
            {room.participants.map((person) => (
              <PersonRows key={person.identity} person={person} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function PersonRows({ person }: { person: ParticipantDetail }) {
  const head = (rows: number) => (
    <th scope="row" rowSpan={rows}>
      {person.name === '' ? person.identity : person.name}
      <span className="hint">
        {person.client}
        {person.protocol !== '' && ` · ${person.protocol}`}
        {person.rttMs !== null && ` · ${Math.round(person.rttMs)} ms`}
      </span>
    </th>
  );
  if (person.tracks.length === 0) {
    return (
      <tr>
        {head(1)}
        <td colSpan={5} className="hint">
          sends nothing
        </td>
      </tr>
    );
  }
  return person.tracks.map((track, index) => (
    <tr key={track.id}>
      {index === 0 && head(person.tracks.length)}
      <td>
        {sourceText(track.source)}
        {track.muted && <span className="tag">muted</span>}
      </td>
      <td>{track.codec.replace(/^(audio|video)\//, '')}</td>
      <td>
        {track.layers.map((layer, layerIndex) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a layer is its place in the list
          <span className="layer" key={layerIndex}>
            {layer.width > 0 && `${layer.width}×${layer.height} `}
            {bitrateText(layer.bitrate)}
          </span>
        ))}
      </td>
      <td>{track.layers.reduce((lost, layer) => lost + layer.lost, 0)}</td>
      <td>{track.subscribers}</td>
    </tr>
  ));
}
