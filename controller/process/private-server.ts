import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { Metrics } from '#controller/metrics.ts';
import type { Service } from './supervisor.ts';

export interface PrivateServerInput {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly bodyBytesMax?: number;
  /** Rejects while the process cannot do its work. */
  readonly ready: () => Promise<void>;
  /** Adds the role's own routes. */
  readonly routes?: (app: FastifyInstance) => void;
}

export interface PrivateServer extends Service {
  /** Address once started: "http://127.0.0.1:4411". */
  url(): string;
}

const readyzMs = 2_000;
const bodyBytesStandard = 1_024;

/** A private HTTP listener: `/healthz` (alive), `/readyz` (can work: 200, else 503), `/metrics`; no key, so it must not be public. */
export function createPrivateServer(input: PrivateServerInput): PrivateServer {
  const { clock, log, metrics, ready } = input;
  const app = Fastify({
    logger: false,
    bodyLimit: input.bodyBytesMax ?? bodyBytesStandard,
    forceCloseConnections: true,
  });
  let url = '';

  app.get('/healthz', () => ({ ok: true }));
  app.get('/readyz', async (_request, reply) => {
    const failed = await Promise.race([
      ready().then(
        () => null,
        () => 'the database does not answer',
      ),
      clock.sleep(readyzMs).then(() => 'the database does not answer in time'),
    ]);
    return failed === null ? { ok: true } : reply.code(503).send({ ok: false, reason: failed });
  });
  app.get('/metrics', async (_request, reply) => {
    void reply.type(metrics.contentType);
    return metrics.text();
  });
  input.routes?.(app);

  return {
    name: 'private-server',
    url: () => url,
    async start() {
      url = await app.listen({ host: input.host, port: input.port });
      log.info({ url }, 'Private listener is open');
    },
    async stop() {
      await app.close();
    },
  };
}
