import { useRoomContext } from '@livekit/components-react';
import { Panel } from './Panel.tsx';
import type { TrackStats } from './stats.ts';
import { useStats } from './useStats.ts';

/** What goes over the wire right now, for those who want to know. */
export function DetailsPanel(props: { onClose: () => void }) {
  const room = useRoomContext();
  const stats = useStats(room);
  const sent = stats.tracks.filter((track) => track.direction === 'sent');
  const received = stats.tracks.filter((track) => track.direction === 'received');
  return (
    <Panel title="Connection details" onClose={props.onClose}>
      <div className="panel-body stack">
        <dl className="facts">
          <div>
            <dt>Round trip</dt>
            <dd>{stats.rttMs === null ? '–' : `${Math.round(stats.rttMs)} ms`}</dd>
          </div>
          <div>
            <dt>Sending</dt>
            <dd>{kilobits(total(sent))}</dd>
          </div>
          <div>
            <dt>Receiving</dt>
            <dd>{kilobits(total(received))}</dd>
          </div>
          <div>
            <dt>Path</dt>
            <dd>{stats.path ?? '–'}</dd>
          </div>
        </dl>
        <TrackList title="Sent" tracks={sent} />
        <TrackList title="Received" tracks={received} />
      </div>
    </Panel>
  );
}

function TrackList(props: { title: string; tracks: TrackStats[] }) {
  if (props.tracks.length === 0) return null;
  return (
    <section>
      <h3>{props.title}</h3>
      <ul className="track-stats">
        {props.tracks.map((track) => (
          <li key={track.key}>
            <strong>{track.label}</strong>
            <span>{describe(track)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function describe(track: TrackStats): string {
  return [
    track.codec,
    track.width === null ? null : `${track.width} × ${track.height}`,
    track.layer,
    track.fps === null ? null : `${Math.round(track.fps)} fps`,
    kilobits(track.bitrate),
    track.lossPercent === null ? null : `${track.lossPercent.toFixed(1)} % lost`,
  ]
    .filter((part) => part !== null)
    .join(' · ');
}

function total(tracks: TrackStats[]): number {
  return tracks.reduce((sum, track) => sum + track.bitrate, 0);
}

function kilobits(bitrate: number): string {
  if (bitrate >= 1_000_000) return `${(bitrate / 1_000_000).toFixed(1)} Mbit/s`;
  return `${Math.round(bitrate / 1000)} kbit/s`;
}
