// Several servers that are linked by trunks, each with clients of its own.

import { after, afterEach, before } from 'node:test';
import { Clients } from './clients.mjs';
import { startServer } from './server.mjs';
import { until } from './wait.mjs';

/** Links two servers: `from` dials `to`. Waits until media can pass. */
export async function link(from, to) {
  const secret = await to.command('trunk', 'allow', '--name', from.name);
  await from.command('trunk', 'add', to.url, '--secret', secret);
  await until(`${from.name} is linked to ${to.name}`, async () => (await linked(from, to)).state === 'connected');
}

/** What a server says of its link to another one. */
export async function linked(from, to) {
  const { entries } = JSON.parse(await from.command('trunk', 'list', '--json'));
  return entries.find(({ url }) => url.startsWith(to.url)) ?? {};
}

/** Starts servers before the file's tests, linked as `links` says: pairs of their numbers. */
export function sites(name, names, links) {
  const things = { servers: [], clients: [] };
  let count = 0;
  before(async () => {
    for (const [index, site] of names.entries()) {
      const env = { UMBRELLA_TRUNK_NAME: site };
      const server = await startServer(`${name}-${site}`, env, index);
      things.servers.push(server);
      things.clients.push(new Clients(server));
    }
    for (const [from, to] of links) await link(things.servers[from], things.servers[to]);
  });
  afterEach(async () => {
    await Promise.all(things.clients.map((clients) => clients.clear()));
  });
  after(async () => {
    await Promise.all(things.clients.map((clients) => clients.close()));
    for (const server of things.servers) await server.stop();
  });
  /** A room that no other test uses. */
  things.newRoom = () => `${name}-${(count += 1)}`;
  return things;
}
