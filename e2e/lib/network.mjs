// A network of the tests' own: two namespaces and a cable. Needs root.
//
// The server lives at one end, all clients at the other, so that there is a LAN address (Firefox
// does no ICE on loopback) and UDP can be cut without touching the machine.

import { execFileSync } from 'node:child_process';

const run = (...argv) => execFileSync(argv[0], argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });

/** Whether namespaces can be made here. */
export function canMakeNetworks() {
  return process.platform === 'linux' && process.getuid?.() === 0;
}

/** Makes the namespaces; the answer is plain data for `NETWORK` in settings.mjs. */
export function makeNetwork() {
  const id = process.pid.toString(36);
  const network = {
    server: `umb-s-${id}`,
    clients: `umb-c-${id}`,
    serverIp: '10.77.0.1',
    clientIp: '10.77.0.2',
  };
  const [near, far] = [`us${id}`, `uc${id}`];
  for (const name of [network.server, network.clients]) {
    run('ip', 'netns', 'add', name);
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
  }
  run('ip', 'link', 'add', near, 'netns', network.server, 'type', 'veth', 'peer', 'name', far, 'netns', network.clients);
  run('ip', '-n', network.server, 'addr', 'add', `${network.serverIp}/24`, 'dev', near);
  run('ip', '-n', network.clients, 'addr', 'add', `${network.clientIp}/24`, 'dev', far);
  run('ip', '-n', network.server, 'link', 'set', near, 'up');
  run('ip', '-n', network.clients, 'link', 'set', far, 'up');
  // Browsers look for the address that leads out; one with no default route offers no candidates.
  run('ip', '-n', network.clients, 'route', 'add', 'default', 'via', network.serverIp);
  return network;
}

/** Removes what `makeNetwork` made; the cable goes with its ends. */
export function removeNetwork(network) {
  for (const name of [network.server, network.clients]) {
    try {
      run('ip', 'netns', 'del', name);
    } catch (error) {
      process.stderr.write(`removing ${name}: ${error.message}\n`);
    }
  }
}

/** `argv` to run inside a namespace; unchanged without one. */
export function inside(namespace, argv) {
  return namespace ? ['ip', 'netns', 'exec', namespace, ...argv] : argv;
}

/** Drops all UDP that arrives at the server until the returned function is called. */
export function blockUdp(network) {
  const rule = (what) =>
    run('ip', 'netns', 'exec', network.server, 'iptables', '-w', what, 'INPUT', '-p', 'udp', '-j', 'DROP');
  rule('-A');
  return () => rule('-D');
}
