import type { Protocol, Reached } from './probe.ts';

/** What is known of one way to the server. */
export type RowState =
  | { kind: 'checking' }
  | { kind: 'good'; text: string }
  | { kind: 'bad'; text: string };

export type Row = { id: string; title: string; state: RowState };

/** What was found out of the media ports: which are reached, and which not. */
export type Ports = { open: number[]; closed: number[]; ms: number | null };

export type Verdict = { kind: 'good' | 'slow' | 'bad'; text: string };

/** Everything that was tried; `null` is what the server does not offer. */
export type Found = {
  socket: boolean;
  udp: Ports | null;
  tcp: Ports | null;
  relays: boolean[];
};

export function gather(ports: readonly number[], results: readonly Reached[]): Ports {
  const found: Ports = { open: [], closed: [], ms: null };
  for (const [index, port] of ports.entries()) {
    const result = results[index];
    if (result?.reached === true) {
      found.open.push(port);
      if (result.ms !== null) found.ms = Math.max(found.ms ?? 0, result.ms);
    } else {
      found.closed.push(port);
    }
  }
  return found;
}

export function reachedText(result: { ms: number | null }): string {
  return result.ms === null ? 'Reached.' : `Reached in ${result.ms} ms.`;
}

/** What to say of the media ports, and what to do. */
export function portsState(protocol: Protocol, ports: Ports): RowState {
  if (ports.closed.length === 0) return { kind: 'good', text: reachedText(ports) };
  const name = protocol.toUpperCase();
  const some = ports.open.length > 0 ? `Only ${portsText(ports.open)} is reached. ` : '';
  const what = ports.closed.length === 1 ? 'port' : 'ports';
  return {
    kind: 'bad',
    text: `${some}Not reached. Open ${name} ${what} ${portsText(ports.closed)} in the server’s firewall, and in the router or cloud in front of it.`,
  };
}

export function portsText(ports: readonly number[]): string {
  return ports.join(', ');
}

/** What it all means for calls. */
export function verdict(found: Found): Verdict {
  if (!found.socket) {
    return { kind: 'bad', text: 'Calls will not work from here: the page’s WebSocket is blocked.' };
  }
  const udp = found.udp;
  if (udp !== null && udp.closed.length === 0) {
    return { kind: 'good', text: 'Calls will work from here.' };
  }
  const tcp = found.tcp;
  const all = [...(udp?.open ?? []), ...(udp?.closed ?? tcp?.closed ?? [])];
  const reached = new Set([...(udp?.open ?? []), ...(tcp?.open ?? [])]);
  const missed = all.filter((port) => !reached.has(port));
  if (reached.size > 0 && missed.length === 0) {
    return {
      kind: 'slow',
      text: 'Calls will work from here, but slowly: sound and pictures go over TCP.',
    };
  }
  if (found.relays.some((it) => it)) {
    return {
      kind: 'slow',
      text: 'Calls will work from here, but slowly: sound and pictures go through a relay.',
    };
  }
  if (reached.size > 0) {
    return {
      kind: 'bad',
      text: `Some calls will not work from here: ${portsText(missed)} is not reached.`,
    };
  }
  return {
    kind: 'bad',
    text: 'Calls will not work from here: sound and pictures do not get through.',
  };
}

/** For the operator: no addresses, no secrets. */
export function report(rows: readonly Row[], result: Verdict, browser: string): string {
  const line = ({ title, state }: Row) =>
    `${title}: ${state.kind === 'checking' ? 'not finished' : state.text}`;
  return [result.text, ...rows.map(line), browser].join('\n');
}
