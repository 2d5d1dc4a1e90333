// A reverse proxy that people use: Traefik.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startProgram } from './program.mjs';
import { PYTHON } from './settings.mjs';

/** Over plain HTTP, for clients to which Traefik's own certificate is nobody's. */
const PLAIN_PORT = 8480;

/**
 * Starts Traefik (from PyPI, with a file provider) beside a server, with a certificate of its own. The
 * caller stops it.
 *
 * - `router`: what is passed on to the server (by default all below its prefix), as in Traefik's dynamic
 *   configuration. It is served at `port` by TLS, and without it at a port for tests.
 * - `relay`: what comes by TLS to its `name` is passed on to its `address` as it is.
 * - `flags`: what else is said on the command line.
 */
export async function startTraefik(server, { port = 8443, relay, router, flags = [] } = {}) {
  const { place, port: backend, prefix } = server;
  const listen = place.cables ? '0.0.0.0' : place.ip;
  const folder = mkdtempSync(join(tmpdir(), 'umbrella-traefik-'));
  const { rule } = router ?? { rule: `PathPrefix(\`${prefix}\`)` };
  const routes = {
    http: {
      routers: {
        umbrella: { service: 'umbrella', entryPoints: ['websecure'], tls: {}, rule, ...router },
        plain: { service: 'umbrella', entryPoints: ['plain'], rule },
      },
      services: { umbrella: { loadBalancer: { servers: [{ url: `http://${place.ip}:${backend}` }] } } },
    },
    ...(relay && passOn(relay)),
  };
  // JSON is YAML.
  const file = join(folder, 'routes.yml');
  writeFileSync(file, JSON.stringify(routes));
  const argv = [join(dirname(PYTHON), 'traefik'), `--entrypoints.websecure.address=${listen}:${port}`,
    `--entrypoints.plain.address=${listen}:${PLAIN_PORT}`, `--providers.file.filename=${file}`,
    '--global.checknewversion=false', '--global.sendanonymoususage=false', '--log.level=INFO', ...flags];
  const ready = async () => {
    const answer = await fetch(`http://${place.ip}:${PLAIN_PORT}${prefix}/readyz`);
    return answer.status === 200;
  };
  const { stop } = await startProgram(place, argv, { folder, log: 'traefik', ready });
  return { port, plainPort: PLAIN_PORT, authority: null, stop };
}

/** The part of the configuration that is told apart by name. */
function passOn({ name, address }) {
  return {
    tcp: {
      routers: { relay: { entryPoints: ['websecure'], rule: `HostSNI(\`${name}\`)`, service: 'relay', tls: { passthrough: true } } },
      services: { relay: { loadBalancer: { servers: [{ address }] } } },
    },
  };
}
