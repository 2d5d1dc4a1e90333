// An application that is told what happens in rooms.

import { createServer } from 'node:http';
import { WebhookReceiver } from 'livekit-server-sdk';
import { API_KEY, API_SECRET } from './server.mjs';
import { NETWORK } from './settings.mjs';
import { until } from './wait.mjs';

/** Takes events as applications do, by the SDK. To be made by `startReceiver`. */
class Receiver {
  /** The events that were proven, in order, and their requests. */
  events = [];
  requests = [];
  /** What could not be proven. */
  errors = [];
  /** How many requests are answered with an error first. */
  fail = 0;
  #sdk = new WebhookReceiver(API_KEY, API_SECRET);

  async take(request, body) {
    if (this.fail > 0) {
      this.fail -= 1;
      return 503;
    }
    try {
      const { authorization } = request.headers;
      this.events.push(await this.check(body, authorization));
      this.requests.push({ body, authorization, type: request.headers['content-type'] });
      return 200;
    } catch (error) {
      this.errors.push(error);
      return 401;
    }
  }

  /** The event of a request, if it is proven. */
  check(body, authorization) {
    return this.#sdk.receive(body, authorization);
  }

  /** The events of one room. */
  of(room) {
    return this.events.filter((event) => event.room.name === room);
  }

  /** Waits for an event of a room, and returns it. */
  hears(room, name, identity) {
    const fits = ({ event, participant }) => event === name && participant?.identity === identity;
    return until(`the application hears ${name} of ${identity ?? room}`, async () => this.of(room).find(fits));
  }
}

/** Starts one; `url` is where the server reaches it. It does not keep the process running. */
export async function startReceiver() {
  const receiver = new Receiver();
  const host = NETWORK?.clientIp ?? '127.0.0.1';
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      response.writeHead(await receiver.take(request, Buffer.concat(chunks).toString())).end();
    });
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, host, resolve));
  server.unref();
  receiver.url = `http://${host}:${server.address().port}/hook`;
  return receiver;
}
