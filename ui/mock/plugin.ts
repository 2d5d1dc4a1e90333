import type { Plugin } from 'vite';
import { answer } from './api.ts';

/** Serves the page's API out of memory, to look at the page without a server. */
export function mockApi(): Plugin {
  return {
    name: 'mock-api',
    configureServer(server) {
      server.middlewares.use('/api', (request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const { status, body } = answer(
            request.method ?? 'GET',
            decodeURI(request.url ?? '/'),
            text === '' ? {} : JSON.parse(text),
          );
          response.statusCode = status;
          response.setHeader('Content-Type', 'application/json');
          response.end(body === undefined ? '' : JSON.stringify(body));
        });
      });
    },
  };
}
