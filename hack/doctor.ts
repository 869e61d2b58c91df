/**
 * `npm run doctor [-- --role <role> …] [-o json]`: looks at a production configuration (or at a running `npm start`) for what would
 * bite later, changes nothing, and says one line for each check. Exit code 0 if nothing failed, 1 if something did, 2 for wrong usage.
 */
import { parseArgs } from 'node:util';
import { runChecks, textOf } from './doctor/check.ts';
import { checksOf } from './doctor/checks.ts';
import { chooseSubject, roleNames } from './doctor/environment.ts';
import type { RoleName } from './doctor/environment.ts';
import { isHealthy, reportJson, reportText } from './doctor/report.ts';

interface Usage {
  readonly json: boolean;
  readonly roles: readonly RoleName[];
}

/** Sockets that a broken peer holds open must not keep the doctor: its report is out. */
const lingerMs = 500;

function usage(args: readonly string[]): Usage {
  const { values } = parseArgs({
    args: [...args],
    options: { output: { type: 'string', short: 'o', default: 'text' }, role: { type: 'string', multiple: true } },
  });
  if (values.output !== 'text' && values.output !== 'json') throw new Error(`-o ${values.output}: use text or json.`);
  const roles = roleNames.filter((role) => values.role?.includes(role) ?? true);
  const unknown = values.role?.find((role) => !roleNames.some((known) => known === role));
  if (unknown !== undefined) throw new Error(`--role ${unknown}: use ${roleNames.join(', ')}; without it, all.`);
  return { json: values.output === 'json', roles };
}

async function main(): Promise<number> {
  const { json, roles } = usage(process.argv.slice(2));
  const subject = await chooseSubject(process.env, roles);
  const report = { subject: subject.text, findings: await runChecks(checksOf(subject)) };
  process.stdout.write(json ? reportJson(report) : reportText(report));
  return isHealthy(report) ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${textOf(error)}\n`);
  process.exitCode = 2;
}
setTimeout(() => process.exit(), lingerMs).unref();
