import { Storage } from '@google-cloud/storage';
import type { StorageOptions } from '@google-cloud/storage';
import { OAuth2Client } from 'google-auth-library';
import { ProviderError } from '#controller/contract.ts';
import { untilAborted } from '#reconcilers/providers/http-errors.ts';
import type { GcsSettings } from './settings.ts';
import { queryText } from './transport.ts';
import type { GcsReply, GcsRequest, GcsTransport } from './transport.ts';

/**
 * Cloud Storage over Google's own SDK, unmodified: its credentials, headers, idempotency tokens and kept-alive connections. We use its
 * request door and not its resource methods, because those retry by flags shared between all buckets of a client, send a broken
 * `resourceId` with policies and replace "{{projectId}}" inside customers' texts. Retries are off: the engine is the one retry layer.
 */
export function sdkTransport(settings: GcsSettings): GcsTransport {
  const storage = new Storage(storageOptions(settings));
  // STORAGE_EMULATOR_HOST in the environment must not lead calls elsewhere.
  storage.baseUrl = `${settings.endpoint}/storage/v1`;
  return (request, signal) => untilAborted(signal, send(storage, request));
}

/** Options of a client at these settings; without a project it would ask the metadata server for one. */
export function storageOptions({ endpoint, project, auth }: GcsSettings): StorageOptions {
  const common: StorageOptions = { apiEndpoint: endpoint, projectId: project, retryOptions: { autoRetry: false } };
  if (auth.mode === 'none') return common;
  const authed: StorageOptions = { ...common, useAuthWithCustomEndpoint: true };
  return auth.mode === 'default' ? authed : { ...authed, authClient: bearer(auth.token) };
}

function bearer(token: string): NonNullable<StorageOptions['authClient']> {
  const client = new OAuth2Client();
  client.setCredentials({ access_token: token });
  return client;
}

/** What the SDK calls back with when a server answered with an error. */
interface SdkError extends Error {
  readonly response?: { readonly statusCode: number; readonly headers: GcsReply['headers']; readonly body?: unknown };
}

function send(storage: Storage, request: GcsRequest): Promise<GcsReply> {
  const query = queryText(request.query);
  return new Promise((resolve, reject) => {
    storage.request(
      {
        method: request.method,
        uri: query === '' ? request.path : `${request.path}?${query}`,
        // As text: in objects the SDK would replace "{{projectId}}".
        ...(request.body === undefined
          ? {}
          : { body: JSON.stringify(request.body), headers: { 'Content-Type': 'application/json' } }),
      },
      (error: SdkError | null, body?: unknown, response?: { statusCode: number; headers: GcsReply['headers'] }) => {
        if (error === null && response !== undefined) {
          return resolve({ status: response.statusCode, headers: response.headers, body });
        }
        if (error?.response === undefined) return reject(error === null ? new Error('no response') : unanswered(error));
        const { statusCode, headers, body: text } = error.response;
        return resolve({ status: statusCode, headers, body: plain(text) });
      },
    );
  });
}

/** A body that was never read is a stream: nothing to see. */
function plain(body: unknown): unknown {
  if (typeof body === 'string' || body === null) return body;
  return typeof body === 'object' && Object.getPrototypeOf(body) === Object.prototype ? body : undefined;
}

/** No answer of the server: either the network's error, or no token could be had, and then nothing was sent. */
function unanswered(error: Error): Error {
  if (!/default credentials|invalid_grant|invalid_client|invalid_rapt|access token|refresh token/i.test(error.message))
    return error;
  return new ProviderError('No credential for Cloud Storage could be obtained.', {
    verdict: 'credential',
    reason: 'AuthenticationFailed',
    outcome: 'not-done',
    providerCode: 'no token',
  });
}
