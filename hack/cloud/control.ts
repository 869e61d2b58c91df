// The control port: which providers there are, faults, the call log, identities.

import { z } from 'zod';
import type { CallLog } from './call-log.ts';
import type { CloudRequest, CloudResponse, Delivery } from './door.ts';
import { ControlInputError, inputError, type Faults } from './faults.ts';
import type { IamModel } from './iam/model.ts';

export interface ControlParts {
  /** Provider key to endpoint, as `GET /` answers it. */
  readonly index: Readonly<Record<string, string>>;
  readonly faults: Faults;
  readonly calls: CallLog;
  readonly iam: IamModel;
}

const identitySchema = z.strictObject({
  token: z.string().min(1).max(4_096),
  email: z.email(),
  project: z.string().min(1).max(63),
  roles: z.array(z.string()).max(50).optional(),
});

const PATHS = [
  'GET /',
  'POST /faults',
  'GET /faults',
  'DELETE /faults',
  'DELETE /faults/<id>',
  'GET /calls?provider=&after=',
  'POST /identities',
];

/** Answers one control request. Bad input is 400 with the field and what it allows. */
export function handleControl(parts: ControlParts, request: CloudRequest): Delivery {
  return { kind: 'reply', delayMs: 0, response: answer(parts, request) };
}

function answer(parts: ControlParts, request: CloudRequest): CloudResponse {
  try {
    return route(parts, request);
  } catch (error) {
    if (!(error instanceof ControlInputError)) throw error;
    const allowed = error.allowed === undefined ? {} : { allowed: error.allowed };
    return reply(400, { error: { field: error.field, message: error.message, ...allowed } });
  }
}

function route(parts: ControlParts, request: CloudRequest): CloudResponse {
  const faultId = /^\/faults\/([^/]+)$/.exec(request.path)?.[1];
  if (faultId !== undefined && request.method === 'DELETE') {
    if (parts.faults.remove(faultId)) return reply(204);
    return reply(404, { error: { field: 'id', message: `there is no fault ${faultId}; GET /faults lists them` } });
  }
  switch (`${request.method} ${request.path}`) {
    case 'GET /':
      return reply(200, parts.index);
    case 'POST /faults':
      return reply(200, parts.faults.add(body(request)));
    case 'GET /faults':
      return reply(200, { faults: parts.faults.list() });
    case 'DELETE /faults':
      parts.faults.clear();
      return reply(204);
    case 'GET /calls':
      return reply(200, calls(parts, new URLSearchParams(request.query)));
    case 'POST /identities': {
      const parsed = identitySchema.safeParse(body(request));
      if (!parsed.success) throw inputError(parsed.error);
      parts.iam.registerToken(parsed.data);
      return reply(200, { email: parsed.data.email, project: parsed.data.project });
    }
    default:
      return reply(404, {
        error: { field: 'path', message: `no ${request.method} ${request.path} here`, allowed: PATHS },
      });
  }
}

function calls(parts: ControlParts, query: URLSearchParams): object {
  const provider = query.get('provider') ?? undefined;
  const after = query.get('after') ?? '0';
  if (!/^\d{1,15}$/.test(after))
    throw new ControlInputError('after', `after: "${after}" is not a number from an earlier "next"`);
  const allowed = Object.keys(parts.index);
  if (provider !== undefined && !allowed.includes(provider)) {
    throw new ControlInputError(
      'provider',
      `provider "${provider}" is not built; use one of ${allowed.join(', ')}`,
      allowed,
    );
  }
  return parts.calls.since(Number(after), provider);
}

function body(request: CloudRequest): unknown {
  try {
    return JSON.parse(request.body?.toString() ?? '');
  } catch {
    throw new ControlInputError('', 'the body must be JSON');
  }
}

function reply(status: number, content?: object): CloudResponse {
  return { status, headers: {}, body: content };
}
