// A reverse proxy that people use: Traefik.

import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { inside } from './network.mjs';
import { ARTIFACTS, PYTHON } from './settings.mjs';
import { until } from './wait.mjs';

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
  const [program, ...args] = inside(place.namespace, argv);
  const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(join(ARTIFACTS, 'traefik.log'));
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  await until('Traefik forwards', async () => {
    const answer = await fetch(`http://${place.ip}:${plainPort}${prefix}/readyz`);
    return answer.status === 200;
  });
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
