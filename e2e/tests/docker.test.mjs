// The files for Docker, as far as they can be tried without it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Clients } from '../lib/clients.mjs';
import { services } from '../lib/compose.mjs';
import { startServer } from '../lib/server.mjs';
import { HERE, missing, PYTHON, SERVER_IP } from '../lib/settings.mjs';
import { meet, TOPOLOGIES } from '../lib/suite.mjs';
import { token } from '../lib/tokens.mjs';
import { startTraefik } from '../lib/traefik.mjs';

const FILES = ['compose.yml', 'compose.traefik.yml'];
const VARIABLES = { DOMAIN: SERVER_IP, EMAIL: 'operator@example.org', PUBLIC_IP: SERVER_IP };

/** The labels of a container, as Traefik's dynamic configuration: what they say of the one router. */
function routerOf(labels) {
  const router = {};
  for (const [label, value] of Object.entries(labels)) {
    const key = /^traefik\.http\.routers\.umbrella\.(.+)$/.exec(label)?.[1];
    if (key === 'rule') router.rule = value;
    else if (key === 'entrypoints') router.entryPoints = value.split(',');
    // Traefik makes a certificate itself here: there is no Let's Encrypt.
    else if (key?.startsWith('tls')) router.tls = {};
    else assert.ok(['traefik.enable', 'traefik.http.services.umbrella.loadbalancer.server.port'].includes(label), label);
  }
  return router;
}

describe('behind Traefik with the labels of its compose file', { skip: missing('chromium', 'python', 'network') }, () => {
  let clients;
  let proxy;
  let server;
  before(async () => {
    const { traefik, umbrella } = services('compose.traefik.yml', VARIABLES);
    const { UMBRELLA_HTTP_SERVE_ADDR: listen, ...env } = umbrella.environment;
    assert.equal(listen, `127.0.0.1:${umbrella.labels['traefik.http.services.umbrella.loadbalancer.server.port']}`);
    // Tests ask the server itself too, from another machine.
    server = await startServer('traefik', env);
    const isTried = (flag) => !/^--(providers\.docker|certificatesresolvers)/.test(flag);
    proxy = await startTraefik(server, { port: 443, router: routerOf(umbrella.labels), flags: traefik.command.filter(isTried) });
    clients = new Clients({ ws: `wss://${SERVER_IP}/umbrella`, authority: async () => null });
  });
  after(async () => {
    await clients?.close();
    await proxy?.stop();
    await server?.stop();
  });

  for (const { single, called } of TOPOLOGIES) {
    test(`browsers do not meet by ${called}`, () => meet(clients, ['chromium', 'chromium'], `prefix-${single}`, { single }));
  }
  test('a native client does not meet a browser over plain HTTP', async () => {
    const [ann, bob] = [await clients.make('chromium', 'ann'), await clients.make('python', 'bob')];
    for (const client of [ann, bob]) {
      await client.connect({ url: `ws://${SERVER_IP}:${proxy.plainPort}/umbrella`, token: await token('prefix-plain', client.identity) });
    }
    await Promise.all([ann.publish({ camera: true }), bob.publish({ camera: true })]);
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann')]);
  });
  test('something answers outside the prefix', async () => {
    assert.equal((await server.get('/readyz')).status, 200);
    assert.equal((await server.get('/sfu', { outside: true })).status, 404);
  });
  test('who types the address without https sees nothing', async () => {
    const location = await new Promise((resolve, reject) => {
      const outgoing = request(`http://${SERVER_IP}/umbrella/sfu`, (response) => resolve(response.headers.location));
      outgoing.on('error', reject).end();
    });
    assert.match(location, new RegExp(`^https://${SERVER_IP.replaceAll('.', '\\.')}(:443)?/umbrella/sfu$`));
  });
});

test('the Dockerfile has the usual mistakes', { skip: missing('python') }, () => {
  execFileSync(join(dirname(PYTHON), 'hadolint'), [join(HERE, '../deploy/docker/Dockerfile')]);
});

describe('the compose files', () => {
  test('settings are misspelt, or the container can do more than it needs', () => {
    const known = readFileSync(join(HERE, '../docs/configuration.md'), 'utf8');
    for (const file of FILES) {
      const { umbrella } = services(file, VARIABLES);
      for (const name of Object.keys(umbrella.environment)) assert.ok(known.includes(`\`${name}\``), `${file}: ${name}`);
      assert.deepEqual([umbrella.read_only, umbrella.cap_drop, umbrella.privileged], [true, ['ALL'], undefined]);
      assert.ok(umbrella.volumes.includes('data:/data'), 'the data are lost with the container');
    }
  });

  test('nobody gets in by Traefik for half a minute after a start', () => {
    const { traefik, umbrella } = services('compose.traefik.yml', VARIABLES);
    const seconds = /^(\d+)s$/.exec(umbrella.healthcheck.interval)?.[1];
    assert.ok(Number(seconds) <= 5, umbrella.healthcheck.interval);
    assert.ok(traefik.command.includes('--providers.docker.allowemptyservices=true'));
  });

  test('a worker has a port that is not published', () => {
    const { umbrella } = services('compose.yml', VARIABLES);
    const last = 40_000 + Number(umbrella.environment.UMBRELLA_WORKERS) - 1;
    const range = `40000-${last}:40000-${last}`;
    assert.deepEqual(umbrella.ports.slice(1), [`${range}/udp`, `${range}/tcp`]);
  });
});
