/** ISO-8601 text of a time in ms, for a parameter or a JSON parameter. Reads no clock. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
