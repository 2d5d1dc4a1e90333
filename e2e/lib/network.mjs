// A network of the tests' own: three namespaces and two cables. Needs root.
//
// The server lives at one end, all clients at the other, so that there is a LAN address (Firefox
// does no ICE on loopback) and UDP can be cut without touching the machine. A client that is to
// lose its network lives at the end of the second cable. Tests of several servers make further places.

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';

const run = (...argv) => execFileSync(argv[0], argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });

/** Whether namespaces can be made here. */
export function canMakeNetworks() {
  return process.platform === 'linux' && process.getuid?.() === 0;
}

/** Makes the namespaces; the answer is plain data for `NETWORK` in settings.mjs. `lane` tells several apart. */
export function makeNetwork(lane) {
  const id = `${process.pid.toString(36)}${lane}`;
  const network = {
    id,
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
function lay(near, far) {
  plug(near, far);
  // Browsers look for the address that leads out; one with no default route offers no candidates.
  run('ip', '-n', far[0], 'route', 'add', 'default', 'via', near[2]);
}

/** A cable from one `[namespace, link, address]` to another. */
function plug([near, nearLink, nearIp], [far, farLink, farIp]) {
  run('ip', 'link', 'add', nearLink, 'netns', near, 'type', 'veth', 'peer', 'name', farLink, 'netns', far);
  for (const [name, link, ip] of [[near, nearLink, nearIp], [far, farLink, farIp]]) {
    // An IPv6 address that comes a second later is a change of network to a browser that is loading.
    run('ip', '-n', name, 'link', 'set', link, 'addrgenmode', 'none');
    run('ip', '-n', name, 'addr', 'add', `${ip}/24`, 'dev', link);
    run('ip', '-n', name, 'link', 'set', link, 'up');
  }
}

/** Removes what `makeNetwork` made, and what tests have left; cables go with their ends. */
export function removeNetwork(network) {
  const names = run('ip', 'netns', 'list').toString().split('\n').map((line) => line.split(' ')[0]);
  for (const name of names.filter((known) => known.startsWith('umb-') && known.endsWith(`-${network.id}`))) {
    try {
      remove(name);
    } catch (error) {
      process.stderr.write(`removing ${name}: ${error.message}\n`);
    }
  }
}

/** `argv` to run inside a namespace; unchanged without one. */
export function inside(namespace, argv) {
  return namespace ? ['ip', 'netns', 'exec', namespace, ...argv] : argv;
}

/** Rules of a namespace's firewall that hold until the returned function is called. */
function firewall(namespace, rules) {
  const all = (what) => rules.forEach(([chain, ...rule]) =>
    run('ip', 'netns', 'exec', namespace, 'iptables', '-w', what, chain, ...rule));
  all('-A');
  return () => all('-D');
}

/** Drops all UDP that arrives at the server until the returned function is called. */
export function blockUdp(network) {
  return firewall(network.server, [['INPUT', '-p', 'udp', '-j', 'DROP']]);
}

/** Drops what arrives at the server by a protocol, at all media ports or at one, until the returned function is called. */
export function dropAtServer(network, protocol, port) {
  const which = port === undefined ? '40000:50000' : `${port}`;
  return firewall(network.server, [['INPUT', '-p', protocol, '--dport', which, '-j', 'DROP']]);
}

/** Nothing passes the second cable, and nobody is told, until the returned function is called. */
export function darken(network) {
  const net = `${ROAMING_NET}.0/24`;
  return firewall(network.server, [['INPUT', '-s', net, '-j', 'DROP'], ['OUTPUT', '-d', net, '-j', 'DROP']]);
}

/**
 * TCP connections that lead over the second cable now break as soon as either side says anything;
 * new ones do not. The returned function forgets them.
 */
export function resetTcp(network) {
  const net = `${ROAMING_NET}.0/24`;
  const established = run('ip', 'netns', 'exec', network.server, 'ss', '-Htn', 'state', 'established', 'dst', net);
  const ports = established.toString().trim().split('\n').map((line) => line.trim().split(/\s+/)[3].split(':').at(-1));
  return firewall(network.server, ports.map((port) =>
    ['INPUT', '-s', net, '-p', 'tcp', '--sport', port, '-j', 'REJECT', '--reject-with', 'tcp-reset']));
}

/** Whoever lives at the second cable's end has another address from now on. */
export function move(network, { from, to }) {
  const ip = (...argv) => run('ip', '-n', network.roaming, ...argv);
  ip('addr', 'del', `${ROAMING_NET}.${from}/24`, 'dev', network.roamingLink);
  ip('addr', 'add', `${ROAMING_NET}.${to}/24`, 'dev', network.roamingLink);
  ip('route', 'replace', 'default', 'via', ROAMING_GATE);
}

/**
 * Makes a namespace for each of these places, and cables between pairs of them, such as
 * `[['hut', 'cloud']]`. None passes on what is for another one. The answer is plain data: each
 * place has a namespace, the `ip` by which the tests reach it, and its end of each cable by the
 * name of the place at the other end. `removePlaces` removes them, and so does the runner.
 */
export function makePlaces(network, names, cables) {
  const { id } = network;
  const places = {};
  forward(network.clients, false);
  for (const [index, name] of names.entries()) {
    const place = { name, namespace: `umb-${index}-${id}`, ip: `10.80.${index}.1`, testsIp: `10.80.${index}.2`, cables: {} };
    places[name] = place;
    run('ip', 'netns', 'add', place.namespace);
    run('ip', '-n', place.namespace, 'link', 'set', 'lo', 'up');
    forward(place.namespace, false);
    lay([network.clients, `uq${index}${id}`, place.testsIp], [place.namespace, `up${index}${id}`, place.ip]);
  }
  for (const [index, pair] of cables.entries()) {
    const ends = pair.map((_name, side) => ({ link: `u${'vw'[side]}${index}${id}`, ip: `10.81.${index}.${side + 1}` }));
    plug(...ends.map(({ link, ip }, side) => [places[pair[side]].namespace, link, ip]));
    for (const side of [0, 1]) places[pair[side]].cables[pair[1 - side]] = ends[side];
  }
  return places;
}

/** Removes what `makePlaces` made. */
export function removePlaces(places) {
  for (const { namespace } of Object.values(places)) remove(namespace);
}

function remove(namespace) {
  run('ip', 'netns', 'del', namespace);
  rmSync(filesOf(namespace), { recursive: true, force: true });
}

/** Files here take the place of those in /etc for whoever is started inside the namespace (ip-netns(8)). */
const filesOf = (namespace) => `/etc/netns/${namespace}`;

/** Programs that are started at a place look up names there until the returned function is called. */
export function useNameServer({ namespace }, ip) {
  mkdirSync(filesOf(namespace), { recursive: true });
  writeFileSync(`${filesOf(namespace)}/resolv.conf`, `nameserver ${ip}\n`);
  return () => rmSync(filesOf(namespace), { recursive: true });
}

function forward(namespace, on) {
  run('ip', 'netns', 'exec', namespace, 'sysctl', '-qw', `net.ipv4.ip_forward=${on ? 1 : 0}`);
}

/** All addresses of cables between places. */
const CABLES = '10.81.0.0/16';

/** `place` passes on what is for another one of those that are plugged into it, who lie beyond it from now on. */
export function internet(place, places) {
  for (const [name, { ip }] of Object.entries(place.cables)) {
    run('ip', '-n', places[name].namespace, 'route', 'add', CABLES, 'via', ip);
  }
  forward(place.namespace, true);
}

/**
 * Makes `router` one as at home: who is `within` reaches the place `without`, and what lies beyond
 * it, by the router's address there, and is reached by answers only. Each connection has a port of
 * its own there, which changes with the far end; with a `steady` router it is the same for all.
 */
export function masquerade(router, { within, without, steady = false }) {
  const [inner, outer] = [router.cables[within.name], router.cables[without.name]];
  run('ip', '-n', within.namespace, 'route', 'add', CABLES, 'via', inner.ip);
  firewall(router.namespace, [
    ['POSTROUTING', '-t', 'nat', '-o', outer.link, '-j', 'MASQUERADE', ...(steady ? [] : ['--random'])],
    // One that answers strangers takes their ports for its own.
    ['INPUT', '-i', outer.link, '-j', 'DROP'],
    ['FORWARD', '-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED', '-j', 'ACCEPT'],
    ['FORWARD', '-i', inner.link, '-j', 'ACCEPT'],
    ['FORWARD', '-j', 'DROP'],
  ]);
  forward(router.namespace, true);
}

/** `place` has another address, which ends in `last`, on its cable to another place from now on; the answer is that. */
export function readdress(place, other, last) {
  const end = place.cables[other.name];
  const next = end.ip.replace(/\d+$/, `${last}`);
  run('ip', '-n', place.namespace, 'addr', 'add', `${next}/24`, 'dev', end.link);
  run('ip', '-n', place.namespace, 'addr', 'del', `${end.ip}/24`, 'dev', end.link);
  run('ip', '-n', place.namespace, 'addr', 'replace', `${next}/24`, 'dev', end.link);
  end.ip = next;
  return next;
}

/** A router passes on no UDP until the returned function is called. */
export function passNoUdp({ namespace }) {
  const rule = ['FORWARD', '-p', 'udp', '-j', 'DROP'];
  const change = (...what) => run('ip', 'netns', 'exec', namespace, 'iptables', '-w', ...what);
  change('-I', ...rule);
  return () => change('-D', ...rule);
}

/** Nothing passes the cable between two places, and nobody is told, until the returned function is called. */
export function cut(one, other) {
  const repairs = [[one, other], [other, one]].map(([near, far]) => {
    const { link } = near.cables[far.name];
    return firewall(near.namespace, [['INPUT', '-i', link, '-j', 'DROP'], ['OUTPUT', '-o', link, '-j', 'DROP']]);
  });
  return () => {
    for (const repair of repairs) repair();
  };
}

/**
 * Of what comes to `place` from a place, only these ports are let in until the returned function is
 * called: pairs such as `['tcp', 443]`.
 */
export function admitOnly(place, other, ports) {
  const from = ['INPUT', '-i', place.cables[other.name].link];
  const admitted = ports.map(([protocol, port]) => [...from, '-p', protocol, '--dport', `${port}`, '-j', 'ACCEPT']);
  return firewall(place.namespace, [...admitted, [...from, '-j', 'DROP']]);
}

/** A share of the UDP packets that come to `place` from a place is lost until the returned function is called. */
export function loseUdp(place, other, share) {
  const { link } = place.cables[other.name];
  const chance = ['-m', 'statistic', '--mode', 'random', '--probability', `${share}`];
  return firewall(place.namespace, [['INPUT', '-i', link, '-p', 'udp', ...chance, '-j', 'DROP']]);
}

const ETHERNET_HEADER = 14;

/** What has passed the cable to another place so far, both ways, as the kernel counts: packets, and bytes from their IP headers on. */
export function passed(place, other) {
  const shown = run('ip', '-n', place.namespace, '-s', '-j', 'link', 'show', 'dev', place.cables[other.name].link);
  const [{ stats64: { rx, tx } }] = JSON.parse(shown.toString());
  const packets = rx.packets + tx.packets;
  return { bytes: rx.bytes + tx.bytes - packets * ETHERNET_HEADER, packets };
}
