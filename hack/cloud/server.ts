// Starts the local cloud: one control port and one port for each provider, all on 127.0.0.1.
//
// Ports. With `controlPort: 0` (tests) every port is a free one. Otherwise a provider's port is the control port plus its fixed offset
// (PORT_OFFSETS; gcs 4511 beside the default 4500), so that endpoints stay the same over restarts; `ports` overrides single ones.

import { join } from 'node:path';
import { CallLog } from './call-log.ts';
import { systemClock, seededRng, type CloudClock, type CloudRng } from './clock.ts';
import { handleControl } from './control.ts';
import type { DoorContext } from './door.ts';
import { Faults } from './faults.ts';
import { openGcs } from './gcs/in-process.ts';
import { GcsModel, type GcsModelOptions } from './gcs/model.ts';
import { serveGcs } from './gcs/wire.ts';
import { openHttpDoor, type HttpDoor } from './http-door.ts';
import { IamModel } from './iam/model.ts';
import { openIam } from './iam/wire.ts';
import { Journal } from './journal.ts';
import { CloudState } from './state.ts';

/** The built providers, in the order of the index. */
export type ProviderKey = 'gcs' | 'iam';

/** Distance from the control port, for fixed ports. */
export const PORT_OFFSETS: Readonly<Record<ProviderKey, number>> = { gcs: 11, iam: 13 };

/** How often time-driven effects (lifecycle, soft-delete expiry) are looked at under a real clock. */
const TICK_EVERY_MS = 60_000;

export interface CloudOptions {
  /** Keep everything under `<dataDir>/cloud`; absent: memory only. */
  readonly dataDir?: string | undefined;
  /** 0, the default: a free port, for all. */
  readonly controlPort?: number | undefined;
  readonly ports?: Partial<Record<ProviderKey, number>> | undefined;
  readonly clock?: CloudClock | undefined;
  readonly rng?: CloudRng | undefined;
  readonly gcs?: Pick<GcsModelOptions, 'rates' | 'defaultProject' | 'projectNumber'> | undefined;
  /** Told of a torn journal line; default: stderr. */
  readonly warn?: ((message: string) => void) | undefined;
}

export interface Cloud {
  /** `http://127.0.0.1:<port>` of the control server. */
  readonly controlUrl: string;
  /** Provider key to endpoint, without trailing slash. */
  readonly index: Readonly<Record<ProviderKey, string>>;
  readonly gcs: GcsModel;
  readonly iam: IamModel;
  readonly faults: Faults;
  readonly calls: CallLog;
  /** Stops listening, drops late effects, writes the snapshot. Safe to repeat. */
  close(): Promise<void>;
}

/** Starts the cloud; rejects if a port is taken or the stored state is damaged, with nothing left running. */
export async function startCloud(options: CloudOptions = {}): Promise<Cloud> {
  const clock = options.clock ?? systemClock;
  const faults = new Faults();
  const calls = new CallLog(clock);
  const iam = new IamModel({
    clock,
    state: new CloudState(clock),
    defaultProject: options.gcs?.defaultProject,
    projectNumber: options.gcs?.projectNumber,
  });
  const gcs = new GcsModel({ clock, rng: options.rng ?? seededRng(clock.now()), iam, rates: options.gcs?.rates });
  const index: Record<string, string> = {};
  const late = new LateEffects();
  const opened: { close(): Promise<void> | void }[] = [late];
  const close = async (): Promise<void> => {
    while (opened.length > 0) await opened.pop()?.close();
  };
  try {
    // The control port first: it tells a second cloud on the same data to go away before the journal is touched.
    const control = await openHttpDoor({
      port: options.controlPort ?? 0,
      handle: (request) => handleControl({ index, faults, calls, iam }, request),
    });
    opened.push(control);
    if (options.dataDir !== undefined) opened.push(openJournal(options, { gcs, iam }));
    iam.ensureDefaults();
    opened.push(startTicking(gcs));
    const surroundings: Pick<DoorContext, 'faults' | 'calls' | 'later'> = {
      faults,
      calls,
      later: (delayMs, run) => late.add(delayMs, run),
    };
    const listen = async (key: ProviderKey, serve: (port: number) => Promise<HttpDoor>): Promise<void> => {
      const door = await serve(
        options.ports?.[key] ?? (options.controlPort ? options.controlPort + PORT_OFFSETS[key] : 0),
      );
      opened.push(door);
      index[key] = door.url;
    };
    const storage = openGcs(gcs, surroundings);
    const identities = openIam(iam, surroundings);
    await listen('gcs', (port) => serveGcs(storage, port));
    await listen('iam', (port) => openHttpDoor({ port, handle: (request) => identities.handle(request) }));
    return { controlUrl: control.url, index: index as Record<ProviderKey, string>, gcs, iam, faults, calls, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function openJournal(options: CloudOptions, models: { gcs: GcsModel; iam: IamModel }): Journal {
  const warn = options.warn ?? ((message: string) => console.error(message));
  return new Journal(join(options.dataDir ?? '', 'cloud'), { iam: models.iam.state, gcs: models.gcs.state }, { warn });
}

function startTicking(gcs: GcsModel): { close(): void } {
  gcs.tick();
  const timer = setInterval(() => gcs.tick(), TICK_EVERY_MS);
  timer.unref();
  return { close: () => clearInterval(timer) };
}

/** Timers of effects that land after their caller gave up. Closing drops those that have not landed, as a crash would. */
class LateEffects {
  readonly #timers = new Set<NodeJS.Timeout>();

  add(delayMs: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, delayMs);
    this.#timers.add(timer);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
