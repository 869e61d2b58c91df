import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/**
 * Every metric, in one file. Names follow Prometheus' rules: base units, `_total` for counters. Labels are of bounded sets only:
 * never a workspace, a name or a uid.
 */
export interface Metrics {
  /** Prometheus text of everything. */
  text(): Promise<string>;
  readonly contentType: string;
  /** Duration of one named SQL statement, in seconds (law 12: the label is the statement's file name). */
  readonly statementSeconds: Histogram<'statement' | 'outcome'>;
  readonly passes: Counter<'kind' | 'outcome'>;
  readonly calls: Counter<'provider' | 'op' | 'outcome'>;
  readonly callSeconds: Histogram<'provider' | 'op'>;
  /** Answers that came after the deadline. */
  readonly lateAnswers: Counter<'provider' | 'op'>;
  /** Calls that the gateway refused without sending: throttled, breaker, frozen, residency. */
  readonly refusedCalls: Counter<'provider' | 'why'>;
  /** Calls waiting for a place in their account's queue. */
  readonly callsWaiting: Gauge<'provider' | 'account'>;
  readonly breakerOpen: Gauge<'provider' | 'account'>;
  readonly probes: Counter<'provider' | 'account'>;
  /** Claimed rows that this process holds. */
  readonly passesInFlight: Gauge;
  /** Shards with due rows, when last looked. */
  readonly dueShards: Gauge;
  readonly claims: Counter;
  readonly leaseLosses: Counter<'when'>;
  /** Wake-ups by source: signal, poll, reconnect. */
  readonly wakes: Counter<'source'>;
  /** Rows that replays asked to be reconciled. */
  readonly replayAsked: Counter;
  readonly sweptRows: Counter;
  /** Rows woken by topics that the engine fired. */
  readonly firedRows: Counter;
  /** Background tasks that failed and are tried again. */
  readonly taskFailures: Counter<'task'>;
  /** Requests to the API and to the reader. */
  readonly requests: Counter<'procedure' | 'code'>;
  readonly requestSeconds: Histogram<'procedure'>;
}

const secondsFast = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const secondsSlow = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** A registry of its own, so that several operators can live in one process (tests). `process`: also the runtime's own figures. */
export function createMetrics(input: { readonly process?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (input.process === true) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter<Label>({ name: `vibn_${name}_total`, help, labelNames, registers });
  const gauge = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge<Label>({ name: `vibn_${name}`, help, labelNames, registers });
  const seconds = <Label extends string>(name: string, help: string, shape: { labels: Label[]; buckets: number[] }) =>
    new Histogram<Label>({
      name: `vibn_${name}_seconds`,
      help,
      labelNames: shape.labels,
      buckets: shape.buckets,
      registers,
    });
  return {
    text: () => registry.metrics(),
    contentType: registry.contentType,
    statementSeconds: seconds('statement', 'SQL statements by name', {
      labels: ['statement', 'outcome'],
      buckets: secondsFast,
    }),
    passes: counter('passes', 'Reconcile passes', ['kind', 'outcome']),
    calls: counter('provider_calls', 'Provider calls that were sent', ['provider', 'op', 'outcome']),
    callSeconds: seconds('provider_call', 'Provider calls', { labels: ['provider', 'op'], buckets: secondsSlow }),
    lateAnswers: counter('provider_late_answers', 'Answers after the deadline', ['provider', 'op']),
    refusedCalls: counter('provider_calls_refused', 'Calls refused before they were sent', ['provider', 'why']),
    callsWaiting: gauge('provider_calls_waiting', 'Calls waiting for a place', ['provider', 'account']),
    breakerOpen: gauge('breaker_open', '1 while the breaker of the account is open', ['provider', 'account']),
    probes: counter('probes', 'Probes of open breakers', ['provider', 'account']),
    passesInFlight: gauge('passes_in_flight', 'Claimed rows being reconciled'),
    dueShards: gauge('due_shards', 'Shards with due rows'),
    claims: counter('claims', 'Rows claimed'),
    leaseLosses: counter('lease_losses', 'Leases lost', ['when']),
    wakes: counter('wakes', 'Wake-ups', ['source']),
    replayAsked: counter('replay_asked', 'Rows that replays asked to be reconciled'),
    sweptRows: counter('swept_rows', 'Rows trimmed by age'),
    firedRows: counter('fired_rows', 'Rows woken by fired topics'),
    taskFailures: counter('task_failures', 'Background task failures', ['task']),
    requests: counter('requests', 'Requests', ['procedure', 'code']),
    requestSeconds: seconds('request', 'Requests', { labels: ['procedure'], buckets: secondsFast }),
  };
}
