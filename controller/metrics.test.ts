import { expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';

it('shows what was counted, in Prometheus text', async () => {
  const metrics = createMetrics();
  metrics.passes.inc({ kind: 'Bucket', outcome: 'converged' });
  metrics.calls.inc({ provider: 'gcs', op: 'buckets.get', outcome: 'ok' }, 2);
  metrics.statementSeconds.observe({ statement: 'claim', outcome: 'ok' }, 0.002);
  const text = await metrics.text();
  expect(text).toContain('vibn_passes_total{kind="Bucket",outcome="converged"} 1');
  expect(text).toContain('vibn_provider_calls_total{provider="gcs",op="buckets.get",outcome="ok"} 2');
  expect(text).toContain('vibn_statement_seconds_bucket{le="0.0025",statement="claim",outcome="ok"} 1');
  expect(text).not.toContain('process_cpu');
});

it('keeps two operators in one process apart', async () => {
  const [first, second] = [createMetrics(), createMetrics({ process: true })];
  first.claims.inc(3);
  expect(await first.text()).toContain('vibn_claims_total 3');
  expect(await second.text()).toContain('vibn_claims_total 0');
  expect(await second.text()).toContain('process_cpu');
});
