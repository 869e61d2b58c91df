// A Cloud Storage in process for tests: virtual clock, no sockets, answers as a caller would read them.

import { CallLog } from '#hack/cloud/call-log.ts';
import { manualClock, type ManualClock } from '#hack/cloud/clock.ts';
import { Faults } from '#hack/cloud/faults.ts';
import type { Delivery } from '#hack/cloud/door.ts';
import { openGcs } from './in-process.ts';
import { createGcsModel, type GcsModel, type GcsModelOptions } from './model.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed JSON body, {} without one. */
  readonly json: any;
  readonly text: string;
}

interface Asked {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

export interface TestCloud {
  readonly clock: ManualClock;
  readonly model: GcsModel;
  readonly faults: Faults;
  readonly calls: CallLog;
  /** Late effects that have not landed: when (ms) and how. `runLate` lands them all. */
  runLate(): void;
  /** Sends a request as the local owner ("GET /storage/v1/b/x?y=z"); throws if no reply comes. */
  ask(line: string, asked?: Asked): Answer;
  /** The same, for those who expect that no reply comes. */
  deliver(line: string, asked?: Asked): Delivery;
  /** Creates a bucket with uniform access and the given fields, and requires that it worked. */
  bucket(name: string, fields?: Record<string, unknown>): void;
  /** Writes an object by a media upload and answers its resource. */
  put(bucket: string, name: string, content?: string): any;
}

/** A fresh provider; limits are off unless asked for. */
export function testCloud(options: Omit<GcsModelOptions, 'clock'> = {}): TestCloud {
  const clock = manualClock();
  const model = createGcsModel({ rates: 'off', ...options, clock });
  const faults = new Faults();
  const calls = new CallLog(clock);
  const late: (() => void)[] = [];
  const door = openGcs(model, { faults, calls, later: (_delayMs, run) => late.push(run) });
  const deliver = (line: string, asked: Asked = {}): Delivery => {
    const [method = '', url = ''] = line.split(' ');
    const [path = '', query = ''] = url.split('?');
    const body =
      asked.body === undefined
        ? undefined
        : Buffer.isBuffer(asked.body)
          ? asked.body
          : Buffer.from(typeof asked.body === 'string' ? asked.body : JSON.stringify(asked.body));
    return door.handle({ method, path, query, headers: { host: '127.0.0.1:4511', ...asked.headers }, body });
  };
  const ask = (line: string, asked?: Asked): Answer => {
    const delivery = deliver(line, asked);
    if (delivery.kind === 'lost') throw new Error(`${line}: no reply came`);
    const { status, headers, body } = delivery.response;
    const text = Buffer.isBuffer(body) ? body.toString() : body === undefined ? '' : JSON.stringify(body);
    return { status, headers, text, json: Buffer.isBuffer(body) ? undefined : (body ?? {}) };
  };
  return {
    clock,
    model,
    faults,
    calls,
    ask,
    deliver,
    runLate: () => late.splice(0).forEach((run) => run()),
    bucket(name, fields = {}) {
      const body = {
        name,
        location: 'northamerica-northeast1',
        iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
        ...fields,
      };
      const answer = ask('POST /storage/v1/b?project=vibn-local', { body });
      if (answer.status !== 200) throw new Error(answer.text);
    },
    put(bucket, name, content = 'x') {
      const answer = ask(`POST /upload/storage/v1/b/${bucket}/o?uploadType=media&name=${encodeURIComponent(name)}`, {
        body: content,
      });
      if (answer.status !== 200) throw new Error(answer.text);
      return answer.json;
    },
  };
}
