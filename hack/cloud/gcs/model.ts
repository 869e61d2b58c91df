// Google Cloud Storage in memory. No I/O, no clock of its own; see the parts for the facts.
//
// 1. Everything it remembers is in the tables of one CloudState; a method changes them inside `state.transact`, which the router opens.
// 2. Names of buckets are unique over all projects, live ones only; a soft-deleted bucket frees its name.
// 3. A refused call changes nothing.

import { seededRng, systemClock, type CloudClock, type CloudRng } from '#hack/cloud/clock.ts';
import { IamModel } from '#hack/cloud/iam/model.ts';
import { dumpState, loadState, type StateDump } from '#hack/cloud/snapshot.ts';
import { CloudState } from '#hack/cloud/state.ts';
import { BucketPolicies } from './bucket-policy.ts';
import { Buckets } from './buckets.ts';
import { openTables, type GcsContext } from './context.ts';
import { HmacKeys } from './hmac-keys.ts';
import { applyLifecycle, expireSoftDeleted } from './lifecycle.ts';
import { ObjectCopies } from './object-copy.ts';
import { Objects } from './objects.ts';
import { GCS_RATES, RateLimits, type GcsRates } from './rates.ts';
import { Uploads } from './uploads.ts';

export interface GcsModelOptions {
  readonly clock?: CloudClock | undefined;
  readonly rng?: CloudRng | undefined;
  /** Identities shared with other providers; a model alone makes its own. */
  readonly iam?: IamModel | undefined;
  /** The project of callers without credentials, default "vibn-local"; and its number. Ignored where `iam` is given. */
  readonly defaultProject?: string | undefined;
  readonly projectNumber?: string | undefined;
  /** Limits as the provider's, or "off". Default: GCS_RATES. */
  readonly rates?: GcsRates | 'off' | undefined;
}

/** The provider. Reached through `handle` of in-process.ts or over the wire; the parts may be called directly inside `state.transact`. */
export class GcsModel {
  readonly clock: CloudClock;
  readonly state: CloudState;
  readonly iam: IamModel;
  readonly context: GcsContext;
  readonly buckets: Buckets;
  readonly policies: BucketPolicies;
  readonly objects: Objects;
  readonly copies: ObjectCopies;
  readonly uploads: Uploads;
  readonly hmacKeys: HmacKeys;

  constructor(options: GcsModelOptions) {
    this.clock = options.clock ?? systemClock;
    this.state = new CloudState(this.clock);
    this.iam =
      options.iam ??
      new IamModel({
        clock: this.clock,
        state: new CloudState(this.clock),
        defaultProject: options.defaultProject,
        projectNumber: options.projectNumber,
      });
    this.context = {
      clock: this.clock,
      rng: options.rng ?? seededRng(1),
      state: this.state,
      tables: openTables(this.state),
      iam: this.iam,
      rates: new RateLimits(this.clock, options.rates ?? GCS_RATES),
    };
    this.buckets = new Buckets(this.context);
    this.policies = new BucketPolicies(this.context, this.buckets);
    this.objects = new Objects(this.context, this.buckets);
    this.copies = new ObjectCopies(this.context, this.objects);
    this.uploads = new Uploads(this.context, this.objects);
    this.hmacKeys = new HmacKeys(this.context);
  }

  /** Carries out what time alone does: lifecycle rules, the end of soft deletion, forgotten sessions. Call it after the clock moved. */
  tick(): void {
    this.state.transact(() => {
      applyLifecycle(this.context);
      expireSoftDeleted(this.context);
      this.uploads.expire(this.clock.now());
    });
  }

  /** See IamModel.registerServiceAccountKey: the public key that signed URLs and self-signed bearers of this account are checked with. */
  registerServiceAccountKey(input: { email: string; publicKeyPem: string; projectRoles?: readonly string[] }): void {
    this.iam.registerServiceAccountKey(input);
  }

  /** All that is remembered, as JSON; bytes in base64. */
  toSnapshot(): { gcs: StateDump; iam: StateDump } {
    return { gcs: dumpState(this.state), iam: dumpState(this.iam.state) };
  }

  /** Loads what `toSnapshot` gave, into an empty model. */
  fromSnapshot(snapshot: { gcs: StateDump; iam: StateDump }): void {
    loadState(this.state, snapshot.gcs);
    loadState(this.iam.state, snapshot.iam);
  }
}

/** A new, empty provider. */
export function createGcsModel(options: GcsModelOptions = {}): GcsModel {
  return new GcsModel(options);
}
