// Several servers that are linked by trunks, each with clients of its own.

import { after, afterEach, before } from 'node:test';
import { Clients } from './clients.mjs';
import { makePlaces, removePlaces } from './network.mjs';
import { startServer } from './server.mjs';
import { NETWORK } from './settings.mjs';
import { until } from './wait.mjs';

/** Links two servers: `from` dials `to`, at an `address` of it. Waits until media can pass. */
export async function link(from, to, address = addressOf(to, from)) {
  const secret = await to.command('trunk', 'allow', '--name', from.name);
  await from.command('trunk', 'add', address, '--secret', secret);
  await until(`${from.name} is linked to ${to.name}`, async () => (await linked(from, address)).state === 'connected');
}

/** Where a server finds another one: at the other end of the cable between them, if there is one. */
function addressOf(server, from) {
  const end = server.place.cables?.[from.place.name];
  return end ? server.originAt(end.ip) + server.prefix : server.url;
}

/** What a server says of its link to an address. */
export async function linked(from, address) {
  const { entries } = JSON.parse(await from.command('trunk', 'list', '--json'));
  return entries.find(({ url }) => url.startsWith(address)) ?? {};
}

/**
 * Starts servers before the file's tests, linked as `links` says: pairs of their numbers. With
 * `cables`, pairs of names, each site is a place of its own, with clients that live there; there
 * may be more places, such as routers, by other names. `env` answers a site's settings.
 */
export function sites(name, names, links, { cables, env = () => ({}) } = {}) {
  const things = { servers: [], clients: [], places: {} };
  let count = 0;
  before(async () => {
    // The tests are left out then.
    if (cables && !NETWORK) return;
    if (cables) things.places = makePlaces(NETWORK, [...new Set([...names, ...cables.flat()])], cables);
    for (const [index, site] of names.entries()) {
      const place = things.places[site];
      const settings = { UMBRELLA_TRUNK_NAME: site, ...env(site, things.places) };
      const server = await startServer(`${name}-${site}`, settings, place ? 0 : index, place);
      things.servers.push(server);
      things.clients.push(new Clients(server, place?.namespace));
    }
    for (const [from, to] of links) await link(things.servers[from], things.servers[to]);
  });
  afterEach(async () => {
    await Promise.all(things.clients.map((clients) => clients.clear()));
  });
  after(async () => {
    try {
      await Promise.all(things.clients.map((clients) => clients.close()));
      for (const server of things.servers) await server.stop();
    } finally {
      removePlaces(things.places);
    }
  });
  /** A room that no other test uses. */
  things.newRoom = () => `${name}-${(count += 1)}`;
  return things;
}
