// A server and cameras at the other end of a cable, or beside it where no networks can be made.

import { after, afterEach, before } from 'node:test';
import { startCamera } from './camera.mjs';
import { Clients } from './clients.mjs';
import { makePlaces, removePlaces } from './network.mjs';
import { startServer } from './server.mjs';
import { NETWORK } from './settings.mjs';

/**
 * Starts a server before the file's tests, at a place `house` with a cable to `yard`, where
 * `camera(streams, options)` starts a camera that ends with its test. Whatever cameras the server
 * has, and the clients, end with their test, too.
 */
export function yard(name) {
  const things = { server: null, clients: null, places: {} };
  const open = new Set();
  let count = 0;
  things.camera = async (streams, options = {}) => {
    const { yard } = things.places;
    const place = yard ? { ...yard, ip: yard.cables.house.ip } : { ip: '127.0.0.1' };
    const camera = await startCamera({ place, streams, name: `camera-${name}-${(count += 1)}`, ...options });
    open.add(camera);
    return camera;
  };
  /** A room that no other test uses. */
  things.newRoom = () => `${name}-${(count += 1)}`;
  before(async () => {
    if (NETWORK) things.places = makePlaces(NETWORK, ['house', 'yard'], [['house', 'yard']]);
    things.server = await startServer(name, {}, 0, things.places.house);
    things.clients = new Clients(things.server);
  });
  afterEach(async () => {
    await things.clients.clear();
    for (const { id } of JSON.parse(await things.server.command('camera', 'list', '--json'))) {
      await things.server.command('camera', 'remove', id);
    }
    await Promise.all([...open].map((camera) => camera.stop()));
    open.clear();
  });
  after(async () => {
    await things.clients?.close();
    await things.server?.stop();
    removePlaces(things.places);
  });
  return things;
}
