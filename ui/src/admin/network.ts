import type { Topology, TopologyNode, TrunkFlow, TrunkTrack } from '../api/trunkTypes.ts';
import { bitrateText } from './format.ts';
import { sourceText } from './RoomPeople.tsx';

/** A link between two servers, as both of them describe it. */
export type Edge = {
  a: string;
  b: string;
  /** Milliseconds until a message is answered, once known. */
  rttMs: number | null;
  /** Media can pass. */
  media: boolean;
};

/** The map's measures, in its own units. */
export const MAP = { width: 800, height: 440, radiusX: 200, radiusY: 160, node: 13 };

/** More links than this would cover each other with their labels. */
const LABELLED = 20;

export type Place = { node: TopologyNode; x: number; y: number; label: Label };
type Label = { x: number; y: number; anchor: 'start' | 'middle' | 'end' };
export type Line = {
  edge: Edge;
  from: Place;
  to: Place;
  label: { x: number; y: number } | null;
  /** One of many that are not ours: in the background. */
  faint: boolean;
};

/** Every link that both ends know of, once. */
export function edgesOf(nodes: readonly TopologyNode[]): Edge[] {
  const byId = new Map(nodes.map((node) => [node.node, node]));
  const edges: Edge[] = [];
  for (const node of nodes) {
    for (const link of node.links) {
      const back = byId.get(link.node)?.links.find((other) => other.node === node.node);
      if (back === undefined || node.node >= link.node) continue;
      const known = [link.rttMs, back.rttMs].filter((ms) => ms !== null);
      edges.push({
        a: node.node,
        b: link.node,
        rttMs: known.length === 0 ? null : Math.max(...known),
        media: link.media && back.media,
      });
    }
  }
  return edges;
}

/** In which order servers stand around the circle: linked ones beside each other where it goes. */
export function orderOf(nodes: readonly TopologyNode[], edges: readonly Edge[], me: string) {
  const order: TopologyNode[] = [];
  const seen = new Set<string>();
  const visit = (node: TopologyNode) => {
    if (seen.has(node.node)) return;
    seen.add(node.node);
    order.push(node);
    const next = edges.filter(({ a, b }) => a === node.node || b === node.node);
    for (const { a, b } of next) {
      const other = nodes.find(({ node: id }) => id === (a === node.node ? b : a));
      if (other !== undefined) visit(other);
    }
  };
  const first = nodes.find(({ node }) => node === me);
  if (first !== undefined) visit(first);
  for (const node of nodes) visit(node);
  return order;
}

/** The only server that all links lead to: it stands in the middle. */
function hubOf(nodes: readonly TopologyNode[], edges: readonly Edge[]): string | null {
  if (nodes.length < 4 || edges.length !== nodes.length - 1) return null;
  const hub = nodes.find(({ node }) => edges.every(({ a, b }) => a === node || b === node));
  return hub?.node ?? null;
}

/** Where servers and links are drawn. This server comes first, at the left of two, else on top. */
export function layout(topology: Topology): { places: Place[]; lines: Line[] } {
  const { nodes, me } = topology;
  const edges = edgesOf(nodes);
  const hub = hubOf(nodes, edges);
  const order = orderOf(nodes, edges, me);
  const around = order.filter(({ node }) => node !== hub);
  const start = around.length === 2 ? Math.PI : -Math.PI / 2;
  const places = around.map((node, index) =>
    onCircle(node, start + (2 * Math.PI * index) / around.length),
  );
  const centre = { x: MAP.width / 2, y: MAP.height / 2 };
  const middle = order.find(({ node }) => node === hub);
  if (middle !== undefined) {
    const label: Label = { x: centre.x, y: centre.y + MAP.node + 20, anchor: 'middle' };
    places.push({ node: middle, ...centre, label });
  }
  const byId = new Map(places.map((place) => [place.node.node, place]));
  const dense = edges.length > LABELLED;
  const lines = edges.flatMap((edge): Line[] => {
    const ends = [byId.get(edge.a), byId.get(edge.b)];
    // From those who come first, so that labels of lines that cross do not meet.
    const [from, to] = ends.sort((p, q) => places.indexOf(p as Place) - places.indexOf(q as Place));
    if (from === undefined || to === undefined) return [];
    const own = edge.a === me || edge.b === me;
    // Of many, ours are told at their far ends, where they are apart.
    const at = dense ? 0.72 : places.length > 2 ? 0.42 : 0.5;
    const label = { x: from.x + (to.x - from.x) * at, y: from.y + (to.y - from.y) * at };
    const faint = dense && !own;
    return [{ edge, from, to, label: faint ? null : label, faint }];
  });
  return { places, lines };
}

function onCircle(node: TopologyNode, angle: number): Place {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const x = MAP.width / 2 + MAP.radiusX * cos;
  const y = MAP.height / 2 + MAP.radiusY * sin;
  const gap = MAP.node + 8;
  if (Math.abs(cos) > 0.2) {
    const side = Math.sign(cos);
    const anchor = side > 0 ? 'start' : 'end';
    return { node, x, y, label: { x: x + side * gap, y: y + 5, anchor } };
  }
  const below = sin > 0 ? gap + 12 : -gap;
  return { node, x, y, label: { x, y: y + below, anchor: 'middle' } };
}

/** A name that fits beside its mark. */
export function shortName(name: string, most = 18): string {
  const letters = [...name];
  return letters.length <= most ? name : `${letters.slice(0, most - 1).join('')}…`;
}

export function nameOf(node: { node: string; name: string }): string {
  return node.name === '' ? node.node : node.name;
}

/** Milliseconds; never broken before the unit. */
export function rttText(ms: number | null): string | null {
  if (ms === null) return null;
  const value = ms < 10 && !Number.isInteger(ms) ? ms.toFixed(1) : Math.round(ms);
  return `${value}\u00a0ms`;
}

/** A server's links in words, for the list. */
export function linksText(node: TopologyNode, topology: Topology): string {
  const others = edgesOf(topology.nodes).flatMap((edge) => {
    const id = edge.a === node.node ? edge.b : edge.b === node.node ? edge.a : null;
    const other = topology.nodes.find((it) => it.node === id);
    if (other === undefined) return [];
    const facts = [rttText(edge.rttMs), edge.media ? null : 'no media'].filter((it) => it !== null);
    return [facts.length === 0 ? nameOf(other) : `${nameOf(other)} (${facts.join(', ')})`];
  });
  return others.length === 0 ? 'Not linked' : `Linked to ${others.join(', ')}`;
}

/** What a server is, in a word or two. */
export function roleText(node: TopologyNode, me: string): string {
  const parts = [node.version === '' ? 'Umbrella' : `Umbrella ${node.version}`];
  if (node.node === me) parts.unshift('This server');
  if (!node.media) parts.push('messages only');
  return parts.join(' · ');
}

/** How the media connection of a link stands. */
export function mediaText(flow: TrunkFlow): { text: string; tone: 'good' | 'wait' } {
  const direct = flow.introducer !== null;
  switch (flow.media) {
    case 'off':
      return { text: 'Messages only', tone: 'wait' };
    case 'down':
      return { text: direct ? 'Looking for a direct way' : 'No media yet', tone: 'wait' };
    case 'failed':
      return { text: direct ? 'No direct way' : 'No media', tone: 'wait' };
    case 'up': {
      const over = `edia over ${(flow.protocol ?? '').toUpperCase()}`;
      return { text: direct ? `Direct m${over}` : `M${over}`, tone: 'good' };
    }
  }
}

/** The servers to and from which sound and pictures pass, also over others. */
export function mediaReach({ me, nodes }: Topology): Set<string> {
  const carries = new Set(nodes.filter(({ media }) => media).map(({ node }) => node));
  const edges = edgesOf(nodes).filter(
    ({ a, b, media }) => media && carries.has(a) && carries.has(b),
  );
  const reach = new Set(carries.has(me) ? [me] : []);
  for (const node of reach) {
    for (const { a, b } of edges) {
      // What is added is visited in turn.
      if (a === node) reach.add(b);
      if (b === node) reach.add(a);
    }
  }
  return reach;
}

/** What to know, or to do, about a link without media. */
export function mediaHint(flow: TrunkFlow, reach: Set<string>): string | null {
  if (flow.media !== 'failed') return null;
  const what =
    flow.introducer === null
      ? 'Neither UDP nor TCP gets through for sound and pictures.'
      : `${flow.introducer} has put both servers in touch, but their networks let nothing through directly.`;
  return reach.has(flow.node)
    ? `${what} Sound and pictures go over other servers.`
    : `${what} Sound and pictures do not pass. It is tried again, once a minute at least. ` +
        'They pass as soon as both have joined a server that carries media.';
}

/** Bit rates below one kbit/s, as of a link that nobody uses, are not nothing. */
export function rateText(bitrate: number | null): string {
  if (bitrate === null) return '–';
  if (bitrate < 10_000) return `${(bitrate / 1000).toFixed(1)} kbit/s`;
  return bitrateText(bitrate);
}

export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 || value >= 100
    ? `${Math.round(value)} ${units[unit]}`
    : `${value.toFixed(1)} ${units[unit]}`;
}

const LAYERS = ['low', 'medium', 'high'];

/** What of a track is on a link: its layers, and what is wrong with them. */
export function layersText(track: TrunkTrack): string {
  if (track.starved) return 'paused: the link does not carry it';
  if (track.layers.length === 0) return 'nothing yet';
  const layers = track.layers.map(({ layer, bitrate, copies }) => {
    const name = track.kind === 'audio' ? '' : `${LAYERS[layer] ?? layer} `;
    return `${name}${rateText(bitrate)}${copies === 1 ? '' : ` (${copies} times)`}`;
  });
  return layers.join(', ');
}

/** Whose track it is. */
export function trackText(track: TrunkTrack): string {
  const publisher = track.name === '' ? track.identity : track.name;
  const what = sourceText(track.source);
  return publisher === '' ? what : `${publisher}: ${what}`;
}
