// Two sites behind routers that nobody reaches from outside, and servers in the net beyond.

import { after, before } from 'node:test';
import { startChromium } from './browsers.mjs';
import { internet, masquerade } from './network.mjs';
import { invite, signIn } from './page.mjs';
import { NETWORK } from './settings.mjs';
import { link, sites } from './sites.mjs';

/** Numbers of the servers. */
export const [HUT, BARN, MEETING, CLOUD] = [0, 1, 2, 3];

/** While somebody looks, each site's picture. */
const MAX_BITRATE = 300_000;

/**
 * Starts a server at the hut, one at the barn, a meeting point that carries no media and, if asked
 * for, a cloud that does. `steady` says what the routers are like: see `masquerade`.
 */
export function homes(name, { steady, cloud = false }) {
  const open = ['meeting', ...(cloud ? ['cloud'] : [])];
  const things = sites(name, ['hut', 'barn', ...open], [], {
    cables: [
      ['hut', 'router-hut'], ['barn', 'router-barn'],
      ...['router-hut', 'router-barn', ...open].map((place) => [place, 'net']),
    ],
    env: (site) => (site === 'meeting' ? { UMBRELLA_TRUNK_ROLE: 'signalling' } : {}),
  });
  before(async () => {
    if (!NETWORK) return;
    const { places } = things;
    internet(places.net, places);
    for (const site of ['hut', 'barn']) {
      masquerade(places[`router-${site}`], { within: places[site], without: places.net, steady });
    }
    things.browser = await startChromium();
  });
  after(() => things.browser?.close());

  /** Both sites join a server, at its address in the net. */
  things.join = async (which) => {
    const server = things.servers[which];
    const address = server.originAt(server.place.cables.net.ip) + server.prefix;
    for (const site of [HUT, BARN]) await link(things.servers[site], server, address);
  };

  /** Ann at the hut and bob at the barn, who have cameras and microphones. */
  things.people = async () => {
    const room = things.newRoom();
    const people = [['ann', HUT], ['bob', BARN]].map(([who, site]) => things.clients[site].join('chromium', room, who));
    const [ann, bob] = await Promise.all(people);
    await Promise.all([ann, bob].map((who) => who.publish({ camera: true, microphone: true, maxBitrate: MAX_BITRATE })));
    return { ann, bob, room };
  };

  things.meet = ({ ann, bob }) =>
    Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);

  /** The network on the page of the hut's operator, and an invite to a room there. */
  things.network = async (room) => {
    const hut = things.servers[HUT];
    const page = await signIn(things.browser, hut);
    const hash = await invite(page, room);
    await page.goto(`${hut.url}/servers`);
    return { page, hash, section: page.getByRole('region', { name: 'Network' }) };
  };
  return things;
}
