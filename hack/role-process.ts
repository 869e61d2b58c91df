/** How the image starts each role (Dockerfile): less memory at the same speed. */
export const roleFlags: readonly string[] = ['--max-semi-space-size=8'];

/** The machine's monotonic time in ms, the same in all processes. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
