import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { topology as mocked } from '../../mock/topology.ts';
import type { Topology, TopologyNode, TrunkTrack } from '../api/trunkTypes.ts';
import { NetworkSection } from './NetworkSection.tsx';
import {
  bytesText,
  edgesOf,
  layersText,
  layout,
  linksText,
  MAP,
  rateText,
  rttText,
  shortName,
} from './network.ts';

/** Servers `0` to `count - 1` and the links between them. */
function network(count: number, links: [number, number][]): Topology {
  const nodes = Array.from({ length: count }, (_, index): TopologyNode => {
    const own = links.filter((link) => link.includes(index));
    return {
      node: `n${index}`,
      name: `Site ${index}`,
      version: '0.1.0',
      media: true,
      links: own.map(([a, b]) => ({ node: `n${a === index ? b : a}`, rttMs: 5, media: true })),
    };
  });
  return { me: 'n0', copied: false, nodes, links: [] };
}

function mesh(count: number): [number, number][] {
  const all = Array.from({ length: count }, (_, index) => index);
  return all.flatMap((a) => all.filter((b) => b > a).map((b): [number, number] => [a, b]));
}

const star = (count: number) => mesh(count).filter(([a]) => a === 0);
const ring = (count: number) =>
  Array.from({ length: count }, (_, a): [number, number] => [a, (a + 1) % count]);
const line = (count: number) => ring(count).slice(0, -1);

describe('the map of the network', () => {
  it.each([
    ['two', network(2, line(2))],
    ['a line', network(6, line(6))],
    ['a star', network(16, star(16))],
    ['a ring', network(9, ring(9))],
    ['a mesh', network(16, mesh(16))],
  ])('draws no server of %s over another one or outside', (_, topology) => {
    const { places, lines } = layout(topology);
    expect(places).toHaveLength(topology.nodes.length);
    expect(lines).toHaveLength(edgesOf(topology.nodes).length);
    for (const place of places) {
      expect(place.x).toBeGreaterThan(MAP.node);
      expect(place.x).toBeLessThan(MAP.width - MAP.node);
      expect(place.y).toBeGreaterThan(30);
      expect(place.y).toBeLessThan(MAP.height - 30);
      for (const other of places.filter((it) => it !== place)) {
        const apart = Math.hypot(place.x - other.x, place.y - other.y);
        expect(apart).toBeGreaterThan(3 * MAP.node);
        // Names have a line of their own.
        if (place.label.anchor === other.label.anchor) {
          const rows = Math.abs(place.label.y - other.label.y);
          expect(rows > 15 || Math.abs(place.label.x - other.label.x) > 150).toBe(true);
        }
      }
    }
  });

  it('does not cover itself with figures where there are many links', () => {
    const labelled = layout(network(16, mesh(16))).lines.filter(({ label }) => label !== null);
    expect(labelled).toHaveLength(15);
    const small = layout(network(4, mesh(4))).lines.map(({ label }) => label);
    const places = new Set(small.map((label) => `${label?.x.toFixed()} ${label?.y.toFixed()}`));
    expect(places.size).toBe(6);
  });

  it('shows no link that only one of its ends knows of', () => {
    const topology = network(3, line(3));
    topology.nodes[2]?.links.pop();
    expect(edgesOf(topology.nodes).map(({ a, b }) => [a, b])).toEqual([['n0', 'n1']]);
    expect(linksText(topology.nodes[2] as TopologyNode, topology)).toBe('Not linked');
  });

  it('shows media only where both ends say so, and the slower of two round trips', () => {
    const topology = network(2, line(2));
    const [mine, theirs] = topology.nodes as [TopologyNode, TopologyNode];
    theirs.links = [{ node: 'n0', rttMs: 9, media: false }];
    expect(edgesOf([mine, theirs])).toEqual([{ a: 'n0', b: 'n1', rttMs: 9, media: false }]);
    expect(linksText(mine, topology)).toBe('Linked to Site 1 (9\u00a0ms, no media)');
  });
});

describe('figures of links', () => {
  const track = mocked.links[0]?.sent.tracks[1] as TrunkTrack;

  it('are short and not rounded to nothing', () => {
    expect(rateText(1310)).toBe('1.3 kbit/s');
    expect(rateText(140_000)).toBe('140 kbit/s');
    expect(rateText(null)).toBe('–');
    expect(bytesText(999)).toBe('999 B');
    expect(bytesText(91_400_000)).toBe('91.4 MB');
    expect(bytesText(123_400_000)).toBe('123 MB');
    expect(rttText(0.42)).toBe('0.4\u00a0ms');
    expect(rttText(23.4)).toBe('23\u00a0ms');
    expect(shortName('Hut in the high mountains')).toBe('Hut in the high m…');
  });

  it('show a layer that is on the link twice, and one that is not because it is too narrow', () => {
    expect(layersText(track)).toBe('low 140 kbit/s, medium 450 kbit/s, high 1.3 Mbit/s');
    const twice = { ...track, layers: [{ layer: 2, copies: 2, bitrate: 900_000 }] };
    expect(layersText(twice)).toBe('high 900 kbit/s (2 times)');
    expect(layersText({ ...track, starved: true })).toMatch(/does not carry/);
  });
});

describe('NetworkSection', () => {
  afterEach(() => vi.unstubAllGlobals());

  function answer(topology: Topology) {
    vi.stubGlobal('fetch', async () => new Response(JSON.stringify(topology), { status: 200 }));
  }

  it('says in words what the map says in marks', async () => {
    answer(mocked);
    render(<NetworkSection />);
    const list = await screen.findByRole('list', { name: 'Servers of the network' });
    expect(within(list).getAllByRole('listitem')).toHaveLength(6);
    expect(within(list).getByText('This server · Umbrella 0.1.0')).toBeVisible();
    expect(within(list).getByText('Umbrella 0.1.0 · messages only')).toBeVisible();
    expect(
      within(list).getByText(
        'Linked to Cloud in Frankfurt (23 ms), Meeting point (41 ms, no media), Barn (41 ms, no media)',
      ),
    ).toBeVisible();
    expect(screen.queryByRole('img')).toBeNull();
  });

  it('opens what flows over a link', async () => {
    answer(mocked);
    render(<NetworkSection />);
    await userEvent.click(await screen.findByText('Media over UDP'));
    expect(screen.getByText('Ada Lovelace: camera')).toBeVisible();
    expect(screen.getByText('5.4 Mbit/s')).toBeVisible();
    expect(screen.getByText('1 min 14 s ago')).toBeVisible();
    expect(screen.getByRole('heading', { name: 'Tracks that go: 2' })).toBeVisible();
  });

  it('says between whom no sound and pictures pass, and what helps', async () => {
    answer(mocked);
    render(<NetworkSection />);
    const list = await screen.findByRole('list', { name: 'Servers of the network' });
    const cutOff = within(list).getAllByText('No way from here for sound and pictures');
    expect(cutOff).toHaveLength(1);
    expect(cutOff[0]?.closest('li')).toHaveTextContent('Barn');
    await userEvent.click(screen.getByText('No direct way'));
    expect(screen.getByText(/have joined a server that carries media/)).toBeVisible();
    expect(screen.getByText('Put in touch by')).toBeVisible();
  });

  it('does not call for help where media go another way', async () => {
    const around = structuredClone(mocked);
    for (const [from, to] of [
      [1, 5],
      [5, 1],
    ] as const) {
      const link = { node: `ND_${to}`, rttMs: 5, media: true };
      around.nodes[from]?.links.push(link);
    }
    answer(around);
    render(<NetworkSection />);
    await userEvent.click(await screen.findByText('No direct way'));
    expect(screen.getByText(/Sound and pictures go over other servers/)).toBeVisible();
    expect(screen.queryByText('No way from here for sound and pictures')).toBeNull();
  });

  it('says that the data directory was copied, and what to do', async () => {
    answer({ ...mocked, copied: true });
    render(<NetworkSection />);
    expect(await screen.findByText('umbrella trunk new-id')).toBeVisible();
  });

  it('is not an empty map while there is no other server', async () => {
    answer({ me: 'n0', copied: false, nodes: [], links: [] });
    render(<NetworkSection />);
    expect(await screen.findByText(/No other servers yet/)).toBeVisible();
    expect(screen.queryByRole('list')).toBeNull();
  });
});
