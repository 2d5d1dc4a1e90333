// A network of the tests' own: three namespaces and two cables. Needs root.
//
// The server lives at one end, all clients at the other, so that there is a LAN address (Firefox
// does no ICE on loopback) and UDP can be cut without touching the machine. A client that is to
// lose its network lives at the end of the second cable.

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
    roaming: `umb-r-${id}`,
    roamingLink: `ur${id}`,
  };
  for (const name of [network.server, network.clients, network.roaming]) {
    run('ip', 'netns', 'add', name);
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
  }
  lay([network.server, `us${id}`, network.serverIp], [network.clients, `uc${id}`, network.clientIp]);
  lay([network.server, `ut${id}`, ROAMING_GATE], [network.roaming, network.roamingLink, `${ROAMING_NET}.2`]);
  return network;
}

/** The second cable's addresses. */
const ROAMING_NET = '10.78.0';
const ROAMING_GATE = `${ROAMING_NET}.1`;

/** A cable from one `[namespace, link, address]` to another, whose way out leads over it. */
function lay([near, nearLink, nearIp], [far, farLink, farIp]) {
  run('ip', 'link', 'add', nearLink, 'netns', near, 'type', 'veth', 'peer', 'name', farLink, 'netns', far);
  for (const [name, link, ip] of [[near, nearLink, nearIp], [far, farLink, farIp]]) {
    // An IPv6 address that comes a second later is a change of network to a browser that is loading.
    run('ip', '-n', name, 'link', 'set', link, 'addrgenmode', 'none');
    run('ip', '-n', name, 'addr', 'add', `${ip}/24`, 'dev', link);
    run('ip', '-n', name, 'link', 'set', link, 'up');
  }
  // Browsers look for the address that leads out; one with no default route offers no candidates.
  run('ip', '-n', far, 'route', 'add', 'default', 'via', nearIp);
}

/** Removes what `makeNetwork` made; the cable goes with its ends. */
export function removeNetwork(network) {
  for (const name of [network.server, network.clients, network.roaming]) {
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

/** Rules of the server's firewall that hold until the returned function is called. */
function firewall(network, rules) {
  const all = (what) => rules.forEach(([chain, ...rule]) =>
    run('ip', 'netns', 'exec', network.server, 'iptables', '-w', what, chain, ...rule));
  all('-A');
  return () => all('-D');
}

/** Drops all UDP that arrives at the server until the returned function is called. */
export function blockUdp(network) {
  return firewall(network, [['INPUT', '-p', 'udp', '-j', 'DROP']]);
}

/** Nothing passes the second cable, and nobody is told, until the returned function is called. */
export function darken(network) {
  const net = `${ROAMING_NET}.0/24`;
  return firewall(network, [['INPUT', '-s', net, '-j', 'DROP'], ['OUTPUT', '-d', net, '-j', 'DROP']]);
}

/**
 * TCP connections that lead over the second cable now break as soon as either side says anything;
 * new ones do not. The returned function forgets them.
 */
export function resetTcp(network) {
  const net = `${ROAMING_NET}.0/24`;
  const established = run('ip', 'netns', 'exec', network.server, 'ss', '-Htn', 'state', 'established', 'dst', net);
  const ports = established.toString().trim().split('\n').map((line) => line.trim().split(/\s+/)[3].split(':').at(-1));
  return firewall(network, ports.map((port) =>
    ['INPUT', '-s', net, '-p', 'tcp', '--sport', port, '-j', 'REJECT', '--reject-with', 'tcp-reset']));
}

/** Whoever lives at the second cable's end has another address from now on. */
export function move(network, { from, to }) {
  const ip = (...argv) => run('ip', '-n', network.roaming, ...argv);
  ip('addr', 'del', `${ROAMING_NET}.${from}/24`, 'dev', network.roamingLink);
  ip('addr', 'add', `${ROAMING_NET}.${to}/24`, 'dev', network.roamingLink);
  ip('route', 'replace', 'default', 'via', ROAMING_GATE);
}
