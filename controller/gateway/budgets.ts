import type { CallOptions } from '#controller/contract.ts';
import type { Budget, GatewayOptions } from '#controller/options.ts';

/** A rate that a call must have a token of. `name` is the bucket's name in the store. */
export interface NamedBudget extends Budget {
  readonly name: string;
}

/** Operations of a provider that share a limit of the provider's own, below its general one. */
interface Family {
  readonly provider: string;
  readonly family: string;
  readonly covers: (call: CallShape) => boolean;
  readonly standard: Budget;
}
type CallShape = Pick<CallOptions<unknown>, 'provider' | 'op' | 'mutating'>;

const writes = (call: CallShape): boolean => call.mutating;

/**
 * Limits that providers publish per family of operations, shared by the whole account: Google allows one bucket creation or deletion
 * every two seconds a project; the others are the providers' write quotas with room left for people.
 */
const families: readonly Family[] = [
  {
    provider: 'gcs',
    family: 'buckets',
    covers: (call) => /^buckets\.(insert|create|delete)$/.test(call.op),
    standard: { ratePerSecond: 0.4, burst: 4 },
  },
  { provider: 'iam', family: 'writes', covers: writes, standard: { ratePerSecond: 10, burst: 20 } },
  { provider: 'scheduler', family: 'writes', covers: writes, standard: { ratePerSecond: 8, burst: 16 } },
  {
    provider: 'tasks',
    family: 'queues',
    covers: (call) => call.mutating && call.op.startsWith('queues.'),
    standard: { ratePerSecond: 0.8, burst: 4 },
  },
  {
    provider: 'ses',
    family: 'control',
    covers: (call) => !call.op.startsWith('send'),
    standard: { ratePerSecond: 1, burst: 5 },
  },
];

/** General limits by provider, where one is published: Coolify answers 200 requests a minute. */
const providerBudgets: Readonly<Record<string, Budget>> = { coolify: { ratePerSecond: 3, burst: 20 } };

/** Providers that settings may name. */
export const providerNames = [
  'coolify',
  'dns',
  'gcs',
  'iam',
  'logging',
  'opensrs',
  'scheduler',
  'ses',
  'tasks',
] as const;

/** Names that settings may give a rate to: "gcs" and "gcs:buckets". */
export const budgetNames: readonly string[] = [
  ...providerNames,
  ...families.map(({ provider, family }) => `${provider}:${family}`),
].toSorted();

/** The budgets a call draws on: the provider's general one, then its families'. Settings win over the standard figures. Pure. */
export function budgetsOf(call: CallShape, options: GatewayOptions): readonly NamedBudget[] {
  const general = options.budgets[call.provider] ?? providerBudgets[call.provider] ?? options.defaultBudget;
  const own = families.filter((family) => family.provider === call.provider && family.covers(call));
  return [
    { name: call.provider, ...general },
    ...own.map(({ provider, family, standard }) => {
      const name = `${provider}:${family}`;
      return { name, ...(options.budgets[name] ?? standard) };
    }),
  ];
}

/** Rows a second that an account can take, as far as its general rate tells: how fast a fired topic may wake them. Pure. */
export function wakeRate(provider: string, options: GatewayOptions): number {
  return budgetsOf({ provider, op: '', mutating: false }, options)[0]?.ratePerSecond ?? 1;
}
