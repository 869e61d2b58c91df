// `npm run bench`: the speed of the whole operator beside references of the same run.
//
//   npm run bench                        every bench
//   npm run bench -- --quick             a small version of each
//   npm run bench -- passes-unchanged    one or some, by name
//   npm run bench -- -o json             for programs
//
// Postgres is started for the run with durable settings and stopped at its end; DATABASE_URL names another one.

import type { RoleInput } from './child.ts';

// Each process loads what it needs and nothing else: its memory is measured.
const role = process.argv[2] === '--role' ? (JSON.parse(process.argv[3] ?? '') as RoleInput) : null;
if (role === null) await (await import('./run.ts')).run(process.argv.slice(2));
else if (role.role === 'api') await (await import('./role-api.ts')).runApi(role);
else if (role.role === 'bare-http') (await import('./role-bare-http.ts')).runBareHttp();
else await (await import('./role-controller.ts')).runController(role);
