import type { Clock } from '#controller/clock.ts';
import type { RoleConfig } from './config.ts';
import { ConfigError } from './env.ts';
import { createLogger } from '#controller/log.ts';
import type { Logger } from '#controller/log.ts';
import { createSupervisor } from './supervisor.ts';
import type { Service } from './supervisor.ts';

export interface RoleInput<Config extends RoleConfig> {
  readonly role: 'controller' | 'reader';
  readonly clock: Clock;
  /** Throws ConfigError with all problems. */
  readonly configure: () => Config;
  /** Assembles the services in the order of their start; connects to nothing yet. */
  readonly build: (config: Config, log: Logger) => readonly Service[];
}

/**
 * Runs one role as a process: settings, services, and a graceful end. Wrong settings: one line each on stderr, code 1, nothing started.
 * SIGTERM or SIGINT: services are stopped within `stopMs`, code 0. A bug that nobody caught is logged and ends the process with code 1:
 * whoever holds its leases next observes what it left.
 */
export async function runRole<Config extends RoleConfig>(input: RoleInput<Config>): Promise<void> {
  const { role, clock } = input;
  const config = configured(input);
  if (config === null) return;
  const log = createLogger({ level: config.logLevel, role });
  process.on('uncaughtException', (error) => {
    log.error({ error, stack: stackOf(error) }, 'The process ends on an error that nobody caught');
    process.exit(1);
  });
  const services = input.build(config, log);
  const supervisor = createSupervisor({ services, clock, log, ...config.options.process });
  const stop = (signal: string): void => {
    log.info({ signal }, 'The process is asked to stop');
    void supervisor.stop().then((left) => {
      log.info({ leftBehind: left }, 'The process ends');
      process.exit(0);
    });
  };
  process.once('SIGTERM', () => stop('SIGTERM'));
  process.once('SIGINT', () => stop('SIGINT'));
  try {
    await supervisor.start();
    log.info({}, 'The process is up');
  } catch {
    // The supervisor has logged why and stopped the rest.
    process.exit(1);
  }
}

function configured<Config extends RoleConfig>({ configure, role }: RoleInput<Config>): Config | null {
  try {
    return configure();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`The ${role} cannot start with these settings:\n${error.message}\n`);
    process.exitCode = 1;
    return null;
  }
}

/** Where it happened, without the message, which the log scrubs by itself. */
function stackOf(error: Error): readonly string[] {
  return (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
}
