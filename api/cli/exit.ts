/** Exit codes of the CLI, so that scripts can act on them (README, CLI). */
export const exitCodes = { ok: 0, failed: 1, usage: 2, stalled: 3, timeout: 4, deleted: 5 } as const;

/** Ends a command with a message and a code. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;
  constructor(message: string, exitCode: number = exitCodes.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
