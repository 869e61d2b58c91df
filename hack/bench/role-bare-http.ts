import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { serveParent, tellParent } from './child.ts';

/** The least that a server of Node can do: each POST stays open until a GET asks for all answers at once. */
export function runBareHttp(): void {
  const parked: ServerResponse[] = [];
  const body = JSON.stringify({ result: { data: { outcome: 'met' } } });
  const answer = (reply: ServerResponse): void => {
    reply.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    reply.end(body);
  };
  const server = createServer((request, reply) => {
    if (request.method === 'POST') {
      request.resume();
      parked.push(reply);
      return;
    }
    if (request.url === '/answer') for (const one of parked.splice(0)) answer(one);
    answer(reply);
  });
  // As Fastify has it.
  server.keepAliveTimeout = 72_000;
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    tellParent({ event: 'ready', port: address !== null && typeof address === 'object' ? address.port : 0 });
  });
  serveParent({
    open: () => parked.length,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
