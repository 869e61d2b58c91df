import { inject } from 'vitest';

/** Whether logins of this run go through a pooler. Nothing is provided to the projects without Postgres. */
export const pooled = ((inject('poolerPort') as number | undefined) ?? 0) !== 0;
