/**
 * What the lock's wrapper and its watcher say to each other: JSON lines over two pipes. Times are milliseconds of the
 * machine's monotonic clock, which both read.
 */

import {
  KILL_GRACE_FRACTION,
  KILL_MARGIN_FRACTION,
  KILL_MARGIN_MS_MAX,
  STOP_GRACE_MS_MAX,
} from '../base/limits.ts';

export type ToWatcher =
  | {
      readonly type: 'run';
      readonly argv: readonly string[];
      readonly folder: string;
      readonly environment: Readonly<Record<string, string>>;
      readonly ttlMs: number;
      readonly deadlineMs: number;
    }
  | { readonly type: 'deadline'; readonly deadlineMs: number }
  | { readonly type: 'lost' }
  | { readonly type: 'signal'; readonly signal: NodeJS.Signals };

export type FromWatcher =
  | { readonly type: 'started'; readonly pid: number }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  /** The lease was as good as over before CMD could be started. */
  | { readonly type: 'too-late' }
  /** `stopped`: CMD was told to end because of the lock, not by itself. */
  | {
      readonly type: 'ended';
      readonly exit: number | null;
      readonly signal: NodeJS.Signals | null;
      readonly stopped: boolean;
    };

export const COMMAND_DESCRIPTOR = 3;
export const REPORT_DESCRIPTOR = 4;

export interface StopState {
  readonly ttlMs: number;
  readonly deadlineMs: number;
  /** When something other than the lease asked for the end; null: nothing did. */
  readonly orderedAtMs: number | null;
}

/**
 * When the group gets TERM and when KILL. Invariant: both before the deadline, whatever was ordered, so that no job outlives
 * its lease; KILL never before TERM.
 */
export function stopTimes(state: StopState): { readonly terminateAtMs: number; readonly killAtMs: number } {
  const marginMs = Math.min(KILL_MARGIN_MS_MAX, state.ttlMs * KILL_MARGIN_FRACTION);
  const graceMs = state.ttlMs * KILL_GRACE_FRACTION;
  const terminateAtMs = state.deadlineMs - graceMs;
  const killAtMs = state.deadlineMs - marginMs;
  if (state.orderedAtMs === null) return { terminateAtMs, killAtMs };
  return {
    terminateAtMs: Math.min(state.orderedAtMs, terminateAtMs),
    killAtMs: Math.min(state.orderedAtMs + Math.min(STOP_GRACE_MS_MAX, graceMs), killAtMs),
  };
}

/** Splits a stream of text into lines and gives each to `take`. */
export function eachLine(stream: NodeJS.ReadableStream, take: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) take(line);
  });
}
