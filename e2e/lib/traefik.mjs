// A reverse proxy that people use: Traefik.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startProgram } from './program.mjs';
import { PYTHON } from './settings.mjs';

/**
 * Starts Traefik (from PyPI, with a file provider) beside a server, for what is below its prefix. It
 * makes a certificate of its own. What comes by TLS to the `name` of a `relay` is passed on to its
 * `address` as it is. The caller stops it.
 */
export async function startTraefik({ place, port: backend, prefix }, { port = 8443, relay } = {}) {
  const listen = place.cables ? '0.0.0.0' : place.ip;
  const folder = mkdtempSync(join(tmpdir(), 'umbrella-traefik-'));
  const plainPort = 8480;
  const rule = `rule: "PathPrefix(\`${prefix}\`)"\n      service: umbrella\n`;
  writeFileSync(join(folder, 'routes.yml'), `${relay ? passOn(relay) : ''}http:
  routers:
    secure:
      entryPoints: [secure]
      tls: {}
      ${rule}    plain:
      entryPoints: [plain]
      ${rule}  services:
    umbrella:
      loadBalancer:
        servers:
          - url: "http://${place.ip}:${backend}"
`);
  const argv = [join(dirname(PYTHON), 'traefik'), `--entrypoints.secure.address=${listen}:${port}`,
    `--entrypoints.plain.address=${listen}:${plainPort}`, `--providers.file.filename=${join(folder, 'routes.yml')}`,
    '--global.checknewversion=false', '--global.sendanonymoususage=false', '--log.level=INFO'];
  const ready = async () => {
    const answer = await fetch(`http://${place.ip}:${plainPort}${prefix}/readyz`);
    return answer.status === 200;
  };
  const { stop } = await startProgram(place, argv, { folder, log: 'traefik', ready });
  return { port, plainPort, authority: null, stop };
}

/** The part of the configuration that is told apart by name. */
function passOn({ name, address }) {
  return `tcp:
  routers:
    relay:
      entryPoints: [secure]
      rule: "HostSNI(\`${name}\`)"
      service: relay
      tls:
        passthrough: true
  services:
    relay:
      loadBalancer:
        servers:
          - address: "${address}"
`;
}
