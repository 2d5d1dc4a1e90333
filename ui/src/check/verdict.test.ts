import { expect, test } from 'vitest';
import { keepOnly } from './probe.ts';
import { gather, type Ports, portsState, verdict } from './verdict.ts';

const open: Ports = { open: [40000, 40001], closed: [], ms: 3 };
const shut: Ports = { open: [], closed: [40000, 40001], ms: null };
const half: Ports = { open: [40000], closed: [40001], ms: 3 };
const found = { socket: true, udp: open, tcp: open, relays: [] };

test('blocked ports are taken for open ones', () => {
  expect(verdict(found).kind).toBe('good');
  expect(verdict({ ...found, tcp: shut }).kind).toBe('good');
  expect(verdict({ ...found, udp: shut })).toMatchObject({ kind: 'slow' });
  expect(verdict({ ...found, udp: half })).toMatchObject({ kind: 'slow' });
  expect(verdict({ ...found, udp: null })).toMatchObject({ kind: 'slow' });
  expect(verdict({ ...found, udp: shut, tcp: shut }).kind).toBe('bad');
  expect(verdict({ ...found, udp: null, tcp: shut }).kind).toBe('bad');
  expect(verdict({ ...found, udp: shut, tcp: half }).text).toContain('40001 is not reached');
  expect(verdict({ ...found, udp: shut, tcp: shut, relays: [false, true] }).kind).toBe('slow');
  expect(verdict({ ...found, socket: false }).kind).toBe('bad');
});

test('nobody says which ports to open', () => {
  expect(portsState('udp', open)).toEqual({ kind: 'good', text: 'Reached in 3 ms.' });
  expect(portsState('udp', shut)).toMatchObject({ kind: 'bad' });
  expect(JSON.stringify(portsState('tcp', shut))).toContain('Open TCP ports 40000, 40001');
  expect(JSON.stringify(portsState('udp', half))).toContain('Open UDP port 40001');
  expect(gather([1, 2], [{ reached: true, ms: null }, { reached: false }])).toEqual({
    open: [1],
    closed: [2],
    ms: null,
  });
});

test('the other protocol is tried too', () => {
  const lines = [
    'v=0',
    'a=candidate:1 1 udp 1 192.0.2.1 40000 typ host',
    'a=candidate:2 1 TCP 1 192.0.2.1 40000 typ host tcptype passive',
    'a=mid:0',
    '',
  ];
  const sdp = lines.join('\r\n');
  expect(keepOnly('udp', sdp)).toBe([lines[0], lines[1], lines[3], ''].join('\r\n'));
  expect(keepOnly('tcp', sdp)).toBe([lines[0], lines[2], lines[3], ''].join('\r\n'));
});
