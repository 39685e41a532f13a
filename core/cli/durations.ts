/**
 * Durations as people write them: a number and its unit, `250ms`, `2s`, `1m`, `1h`. A bare number is refused, since nobody
 * can tell whether it means seconds or milliseconds.
 */

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

export const DURATION_FORM = 'a number with its unit, such as 250ms, 2s or 1m';

/** Milliseconds, at most 2^31 - 1 (what a timer can wait for); null if `text` is no duration. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,10}(?:\.\d{1,6})?)(ms|s|m|h)$/.exec(text);
  if (match === null) return null;
  const durationMs = Number(match[1]) * (UNIT_MS[match[2] as string] as number);
  return durationMs <= 0x7fff_ffff ? durationMs : null;
}

/** The shortest exact form: 90000 is `90s`, 60000 is `1m`, 1500 is `1500ms`. */
export function formatDuration(durationMs: number): string {
  if (durationMs > 0 && durationMs % 3_600_000 === 0) return `${durationMs / 3_600_000}h`;
  if (durationMs > 0 && durationMs % 60_000 === 0) return `${durationMs / 60_000}m`;
  if (durationMs > 0 && durationMs % 1_000 === 0) return `${durationMs / 1_000}s`;
  return `${durationMs}ms`;
}

/** For people: `1.2 s`, `340 ms`, `2 min 5 s`. */
export function humanDuration(durationMs: number): string {
  if (durationMs < 1) return `${durationMs.toFixed(2)} ms`;
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 60_000) return `${(durationMs / 1_000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
