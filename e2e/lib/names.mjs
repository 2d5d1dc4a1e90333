// A name server for a place: browsers look up relays by the DNS and by nothing else.

import { createSocket } from 'node:dgram';
import { useNameServer } from './network.mjs';

const A = 1;
const HEADER = 12;

/**
 * Programs that are started at a place from now on find these IPv4 addresses by name, and are told
 * at once that there are no others. The caller stops it.
 */
export async function startNames(place, names) {
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address }) => socket.send(answer(query, names), port, address));
  await new Promise((resolve, reject) => socket.once('error', reject).bind(53, place.testsIp, resolve));
  useNameServer(place, place.testsIp);
  return { stop: () => new Promise((resolve) => socket.close(resolve)) };
}

/** RFC 1035, section 4: the query's first question, and its answer if there is one. */
function answer(query, names) {
  const labels = [];
  let at = HEADER;
  for (; query[at] > 0; at += query[at] + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
  const question = query.subarray(HEADER, at + 5);
  const ip = names[labels.join('.').toLowerCase()];
  const found = ip && question.readUInt16BE(question.length - 4) === A;
  const header = Buffer.alloc(HEADER);
  query.copy(header, 0, 0, 2);
  // An answer, to a question that wanted recursion; 3 is "no such name".
  header.writeUInt16BE(0x8580 | (ip ? 0 : 3), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(found ? 1 : 0, 6);
  // The name is that of the question; class IN, a minute, four bytes.
  const record = [0xc0, HEADER, 0, A, 0, 1, 0, 0, 0, 60, 0, 4, ...(ip ?? '').split('.').map(Number)];
  return Buffer.concat([header, question, ...(found ? [Buffer.from(record)] : [])]);
}
