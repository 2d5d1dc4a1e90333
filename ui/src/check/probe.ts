/** What this browser reaches of the server: tried by connections that carry nothing. */

import { apiUrl, prefixOf, socketUrl } from '../api/prefix.ts';
import type { CheckServer } from '../api/types.ts';

/** A browser that has not connected by then does not reach the port. */
const CONNECT_MS = 10_000;
const ECHO_MS = 5_000;

export type Protocol = 'udp' | 'tcp';

/** Milliseconds there and back; `null` where the browser does not say. */
export type Reached = { reached: true; ms: number | null } | { reached: false };

/** Sends a description to one of the server's ports; the server's answer. */
export type Exchange = (port: number, sdp: string) => Promise<string>;

/** A description with the candidates of one protocol only. */
export function keepOnly(protocol: Protocol, sdp: string): string {
  const stays = (line: string) =>
    !line.startsWith('a=candidate:') || line.split(' ')[2]?.toLowerCase() === protocol;
  return sdp
    .split(/(?<=\n)/)
    .filter(stays)
    .join('');
}

/** Whether a media port is reached by one protocol, through a relay if one is given. */
export async function reachPort(
  exchange: Exchange,
  port: number,
  protocol: Protocol,
  relay?: CheckServer,
): Promise<Reached> {
  const pc = new RTCPeerConnection(
    relay === undefined ? {} : { iceServers: [relay], iceTransportPolicy: 'relay' },
  );
  try {
    pc.createDataChannel('check');
    await pc.setLocalDescription(await pc.createOffer());
    const sdp = await exchange(port, pc.localDescription?.sdp ?? '');
    const connected = untilConnected(pc);
    await pc.setRemoteDescription({ type: 'answer', sdp: keepOnly(protocol, sdp) });
    return (await connected) ? { reached: true, ms: await roundTrip(pc) } : { reached: false };
  } finally {
    pc.close();
  }
}

function untilConnected(pc: RTCPeerConnection): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), CONNECT_MS);
    pc.addEventListener('connectionstatechange', () => {
      if (pc.connectionState !== 'connected' && pc.connectionState !== 'failed') return;
      clearTimeout(timer);
      resolve(pc.connectionState === 'connected');
    });
  });
}

async function roundTrip(pc: RTCPeerConnection): Promise<number | null> {
  for (const stats of (await pc.getStats()).values()) {
    const { type, state, currentRoundTripTime: seconds } = stats;
    if (type === 'candidate-pair' && state === 'succeeded' && typeof seconds === 'number') {
      return Math.max(1, Math.round(seconds * 1000));
    }
  }
  return null;
}

/** Whether WebSockets get through, which some proxies do not pass on. `path` is below the API. */
export function reachSocket(path: string): Promise<Reached> {
  return new Promise((resolve) => {
    const socket = new WebSocket(socketUrl(prefixOf(document.baseURI)) + path);
    let sent = 0;
    const end = (result: Reached) => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => end({ reached: false }), ECHO_MS);
    socket.onopen = () => {
      sent = performance.now();
      socket.send('echo');
    };
    socket.onmessage = () =>
      end({ reached: true, ms: Math.max(1, Math.round(performance.now() - sent)) });
    socket.onerror = () => end({ reached: false });
    socket.onclose = () => end({ reached: false });
  });
}

/** Whether the server's API answers at all, and how fast. */
export async function reachPage(): Promise<Reached> {
  const start = performance.now();
  const answer = await fetch(apiUrl('/api/session'), { cache: 'no-store' }).catch(() => null);
  if (answer === null) return { reached: false };
  return { reached: true, ms: Math.max(1, Math.round(performance.now() - start)) };
}
