/** `vibn`, and `npm run vibn -- …`: composition root of the command line. */
import { connectFrom } from './connection.ts';
import { runCli } from './program.ts';

const env = process.env;
process.exitCode = await runCli(
  process.argv.slice(2),
  () => ({ client: connectFrom(env), now: () => Date.now(), env }),
  env,
);
