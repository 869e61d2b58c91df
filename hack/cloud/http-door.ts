// The socket side of a provider's door: bytes to CloudRequest, Delivery to bytes. Knows no provider.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CloudRequest, CloudResponse, Delivery } from './door.ts';

/** Largest body taken in one request. A model keeps bodies in memory, so this is about the machine, not about the provider (5 TiB at GCS). */
export const BODY_BYTES_MAX = 256 * 1024 * 1024;

/** A listening door. `url` has no trailing slash. */
export interface HttpDoor {
  readonly url: string;
  readonly port: number;
  /** Ends connections too: a request under way gets no answer. */
  close(): Promise<void>;
}

/**
 * Listens on 127.0.0.1 and answers each request with `handle`, which runs synchronously once the body is complete.
 * Port 0 takes a free one. A taken port rejects with an error that names it.
 */
export async function openHttpDoor(options: {
  port: number;
  handle: (request: CloudRequest) => Delivery;
}): Promise<HttpDoor> {
  const server = createServer((request, response) => {
    serve(request, response, options.handle).catch((error: unknown) => {
      // A bug of the model: the caller sees 500 with its text, the process lives on.
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(`local cloud: ${String(error instanceof Error ? error.stack : error)}`);
    });
  });
  // A long upload or a slow fault must not be cut by Node's own request timer.
  server.requestTimeout = 0;
  server.keepAliveTimeout = 5_000;
  await listen(server, options.port);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'EADDRINUSE') throw error;
    throw new Error(`port ${port} on 127.0.0.1 is taken; stop its owner or choose another VIBN_CLOUD_PORT`, {
      cause: error,
    });
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  handle: (request: CloudRequest) => Delivery,
): Promise<void> {
  const body = await readBody(request);
  if (body === undefined) {
    response.writeHead(413, { 'content-type': 'text/plain', connection: 'close' });
    response.end(`local cloud: a body may have at most ${BODY_BYTES_MAX} bytes\n`);
    return;
  }
  const delivery = handle(toCloudRequest(request, body));
  if (delivery.kind === 'lost') {
    request.socket.destroy();
    return;
  }
  if (delivery.delayMs === 0) {
    send(request, response, delivery.response);
    return;
  }
  const timer = setTimeout(() => send(request, response, delivery.response), delivery.delayMs);
  response.once('close', () => clearTimeout(timer));
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

function toCloudRequest(request: IncomingMessage, body: Buffer): CloudRequest {
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value.join(',') : value;
  return {
    method: request.method ?? 'GET',
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? '' : url.slice(mark + 1),
    headers,
    body,
  };
}

function send(request: IncomingMessage, response: ServerResponse, answer: CloudResponse): void {
  const headers: Record<string, string> = { ...answer.headers };
  let bytes: Buffer | undefined;
  if (Buffer.isBuffer(answer.body)) bytes = answer.body;
  else if (answer.body !== undefined) {
    bytes = Buffer.from(JSON.stringify(answer.body));
    headers['content-type'] ??= 'application/json; charset=UTF-8';
  }
  if (answer.status !== 204 && answer.status !== 304) headers['content-length'] ??= String(bytes?.length ?? 0);
  response.writeHead(answer.status, headers);
  response.end(request.method === 'HEAD' ? undefined : bytes);
}
