import type { Topology, TopologyNode, TrunkTrack } from '../src/api/trunkTypes.ts';

/** A hub that carries messages only, and a server to which it could make no direct link. */
const LINKS: [number, number, number, boolean][] = [
  [0, 1, 23, true],
  [0, 2, 41, false],
  [1, 2, 18, false],
  [1, 3, 96, true],
  [3, 4, 7, true],
  [0, 5, 41, false],
  [2, 5, 20, false],
];

const NAMES = [
  'workshop',
  'Cloud in Frankfurt',
  'Meeting point',
  'Hut in the mountains',
  'Boat',
  'Barn',
];

function node(name: string, index: number): TopologyNode {
  const links = LINKS.filter(([a, b]) => a === index || b === index);
  return {
    node: `ND_${index}`,
    name,
    version: '0.1.0',
    media: index !== 2,
    links: links.map(([a, b, rttMs, media]) => ({
      node: `ND_${a === index ? b : a}`,
      rttMs,
      media,
    })),
  };
}

function track(id: string, kind: string, source: string, bitrates: number[]): TrunkTrack {
  return {
    id,
    room: 'Workshop',
    identity: 'ada',
    name: 'Ada Lovelace',
    origin: 'ND_0',
    kind,
    source,
    layers: bitrates.map((bitrate, layer) => ({ layer, copies: 1, bitrate })),
    starved: false,
  };
}

export const topology: Topology = {
  me: 'ND_0',
  copied: false,
  nodes: NAMES.map(node),
  links: [
    {
      node: 'ND_1',
      name: 'Cloud in Frankfurt',
      dialled: true,
      introducer: null,
      media: 'up',
      protocol: 'udp',
      rttMs: 23.4,
      mediaRttMs: 24.1,
      estimate: 5_400_000,
      demandChangedS: 74,
      received: { packets: 1204, bytes: 214_000, bitrate: 1310, count: 0, tracks: [] },
      sent: {
        packets: 88_120,
        bytes: 91_400_000,
        bitrate: 1_910_000,
        count: 2,
        tracks: [
          track('TR_1', 'audio', 'microphone', [32_000]),
          track('TR_2', 'video', 'camera', [140_000, 450_000, 1_250_000]),
        ],
      },
    },
    {
      node: 'ND_2',
      name: 'Meeting point',
      dialled: false,
      introducer: null,
      media: 'off',
      protocol: null,
      rttMs: 41,
      mediaRttMs: null,
      estimate: null,
      demandChangedS: null,
      received: { packets: 0, bytes: 0, bitrate: null, count: 0, tracks: [] },
      sent: { packets: 0, bytes: 0, bitrate: null, count: 0, tracks: [] },
    },
    {
      node: 'ND_5',
      name: 'Barn',
      dialled: true,
      introducer: 'Meeting point',
      media: 'failed',
      protocol: null,
      rttMs: 41.8,
      mediaRttMs: null,
      estimate: null,
      demandChangedS: null,
      received: { packets: 0, bytes: 0, bitrate: null, count: 0, tracks: [] },
      sent: { packets: 0, bytes: 0, bitrate: null, count: 0, tracks: [] },
    },
  ],
};
