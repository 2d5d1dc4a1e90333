import {
  LocalTrackPublication,
  type Participant,
  type Room,
  Track,
  type TrackPublication,
} from 'livekit-client';
import { useEffect, useState } from 'react';
import { type Counters, layerOf, readPath, readTrack, type TrackStats } from './stats.ts';

export type CallStats = { rttMs: number | null; path: string | null; tracks: TrackStats[] };

/** How often the numbers are read, while somebody looks at them. */
const INTERVAL_MS = 2_000;

/** The browser's statistics of every track in the call. */
export function useStats(room: Room): CallStats {
  const [stats, setStats] = useState<CallStats>({ rttMs: null, path: null, tracks: [] });

  useEffect(() => {
    let current = true;
    let counters = new Map<string, Counters>();
    const look = async () => {
      const next = new Map<string, Counters>();
      const read = await readRoom(room, counters, next);
      counters = next;
      if (current) setStats(read);
    };
    void look();
    const timer = setInterval(look, INTERVAL_MS);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [room]);

  return stats;
}

async function readRoom(
  room: Room,
  before: ReadonlyMap<string, Counters>,
  next: Map<string, Counters>,
): Promise<CallStats> {
  const stats: CallStats = { rttMs: null, path: null, tracks: [] };
  const participants: Participant[] = [room.localParticipant, ...room.remoteParticipants.values()];
  for (const participant of participants) {
    for (const publication of participant.trackPublications.values()) {
      const report = await reportOf(publication);
      if (report === null) continue;
      const key = publication.trackSid;
      const entries: Record<string, unknown>[] = [];
      report.forEach((entry) => {
        entries.push(entry);
      });
      const read = readTrack(entries, before.get(key));
      next.set(key, read.counters);
      const direction = publication instanceof LocalTrackPublication ? 'sent' : 'received';
      stats.tracks.push({
        key,
        label: labelOf(participant, publication),
        direction,
        layer: layerName(publication, read),
        ...read.stats,
      });
      const path = readPath(entries);
      stats.rttMs ??= path.rttMs;
      stats.path ??= path.path;
    }
  }
  return stats;
}

function layerName(
  publication: TrackPublication,
  { stats, sending }: ReturnType<typeof readTrack>,
): string | null {
  if (publication instanceof LocalTrackPublication) {
    return sending > 1 ? `${sending} layers` : null;
  }
  return layerOf(publication.trackInfo?.layers ?? [], stats);
}

async function reportOf(publication: TrackPublication): Promise<RTCStatsReport | null> {
  const track = publication.track;
  if (track === undefined || publication.isMuted) return null;
  try {
    return (await track.getRTCStatsReport()) ?? null;
  } catch {
    // The track has just ended.
    return null;
  }
}

function labelOf(participant: Participant, publication: TrackPublication): string {
  const source = SOURCES[publication.source];
  return participant.isLocal
    ? `Your ${source}`
    : `${participant.name || participant.identity}: ${source}`;
}

const SOURCES: Record<Track.Source, string> = {
  [Track.Source.Camera]: 'camera',
  [Track.Source.Microphone]: 'microphone',
  [Track.Source.ScreenShare]: 'screen',
  [Track.Source.ScreenShareAudio]: 'screen sound',
  [Track.Source.Unknown]: 'track',
};
