/** One track's flow between two looks at the browser's statistics. */
export type TrackStats = {
  key: string;
  label: string;
  direction: 'sent' | 'received';
  codec: string | null;
  /** Pixels. */
  width: number | null;
  height: number | null;
  fps: number | null;
  /** Which of the publisher's layers it is, or how many are sent; `null` if there is one. */
  layer: string | null;
  /** Bits per second. */
  bitrate: number;
  /** Of the packets in between. */
  lossPercent: number | null;
};

/** The counters of one look, to be compared with the next one. */
export type Counters = { atMs: number; bytes: number; packets: number; lost: number };

type Entry = Record<string, unknown>;

/** Reads one track's report. Simulcast sends several streams: they add up, the largest is shown. */
export function readTrack(
  report: Iterable<Entry>,
  before: Counters | undefined,
): {
  counters: Counters;
  stats: Omit<TrackStats, 'key' | 'label' | 'direction' | 'layer'>;
  sending: number;
} {
  const entries = [...report];
  const codecs = new Map(entries.filter(is('codec')).map((entry) => [entry.id, entry]));
  const flows = entries.filter((entry) => is('inbound-rtp')(entry) || is('outbound-rtp')(entry));
  const remotes = entries.filter(is('remote-inbound-rtp'));
  const largest = flows.reduce<Entry | undefined>(
    (best, flow) => (area(flow) > area(best) ? flow : (best ?? flow)),
    undefined,
  );
  const inbound = flows.some(is('inbound-rtp'));
  const counters: Counters = {
    atMs: Math.max(0, ...flows.map((flow) => number(flow.timestamp))),
    bytes: sum(flows, inbound ? 'bytesReceived' : 'bytesSent'),
    packets: sum(flows, inbound ? 'packetsReceived' : 'packetsSent'),
    lost: sum(inbound ? flows : remotes, 'packetsLost'),
  };
  const codec = codecs.get(largest?.codecId)?.mimeType;
  const sending = flows.filter((flow) => flow.active !== false && number(flow.frameHeight) > 0);
  return {
    counters,
    sending: sending.length,
    stats: {
      codec: typeof codec === 'string' ? codec.replace(/^(audio|video)\//, '') : null,
      width: numberOrNull(largest?.frameWidth),
      height: numberOrNull(largest?.frameHeight),
      fps: numberOrNull(largest?.framesPerSecond),
      bitrate: bitrate(before, counters),
      lossPercent: loss(before, counters, inbound),
    },
  };
}

/** Its names, by the numbers of the protocol. */
const QUALITIES = ['low', 'medium', 'high'];

/** The announced layer that a received picture is, by the side that is nearest. */
export function layerOf(
  layers: readonly { quality: number; height: number; width: number }[],
  picture: { width: number | null; height: number | null },
): string | null {
  if (layers.length < 2 || picture.height === null || picture.width === null) return null;
  const side = Math.min(picture.width, picture.height);
  const away = (layer: { height: number; width: number }) =>
    Math.abs(Math.min(layer.width, layer.height) - side);
  const nearest = layers.reduce((best, layer) => (away(layer) < away(best) ? layer : best));
  const name = QUALITIES[nearest.quality];
  return name === undefined ? null : `${name} layer`;
}

/** The pair of addresses in use: the round trip in milliseconds, and how packets travel. */
export function readPath(report: Iterable<Entry>): { rttMs: number | null; path: string | null } {
  const entries = [...report];
  const pair =
    entries.find((entry) => is('candidate-pair')(entry) && entry.nominated === true) ??
    entries.find((entry) => is('candidate-pair')(entry) && entry.state === 'succeeded');
  if (pair === undefined) return { rttMs: null, path: null };
  const remote = entries.find((entry) => entry.id === pair.remoteCandidateId);
  const rtt = numberOrNull(pair.currentRoundTripTime);
  const protocol = typeof remote?.protocol === 'string' ? remote.protocol.toUpperCase() : null;
  const address = typeof remote?.address === 'string' ? ` to ${remote.address}` : '';
  return {
    rttMs: rtt === null ? null : rtt * 1000,
    path: protocol === null ? null : `${protocol}${address}`,
  };
}

function bitrate(before: Counters | undefined, now: Counters): number {
  if (before === undefined || now.atMs <= before.atMs) return 0;
  return Math.max(0, ((now.bytes - before.bytes) * 8 * 1000) / (now.atMs - before.atMs));
}

function loss(before: Counters | undefined, now: Counters, inbound: boolean): number | null {
  if (before === undefined) return null;
  const lost = Math.max(0, now.lost - before.lost);
  const passed = Math.max(0, now.packets - before.packets);
  // A sender counts what it sent, a receiver only what arrived.
  const all = inbound ? passed + lost : passed;
  return all === 0 ? null : Math.min(100, (lost / all) * 100);
}

function is(type: string) {
  return (entry: Entry) => entry.type === type;
}

function area(entry: Entry | undefined): number {
  return number(entry?.frameWidth) * number(entry?.frameHeight);
}

function sum(entries: Entry[], field: string): number {
  return entries.reduce((total, entry) => total + number(entry[field]), 0);
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
