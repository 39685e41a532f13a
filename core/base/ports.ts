/**
 * The ports through which time, randomness and messages for people reach the code. What stands behind them in production
 * is in core/node; in tests and in the simulator a seed stands behind them.
 */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds, monotonic, with a fraction; the origin means nothing. On one machine the same in every process. */
  now(): number;
  /** Calls back once, not before `delayMs` have passed. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls back soon, after what is already waiting to run: the next turn of the loop. */
  soon(callback: () => void): void;
}

export interface Entropy {
  /** `size` unpredictable bytes. */
  bytes(size: number): Uint8Array;
  /** A number in [0, 1), for jitter and random timeouts. */
  fraction(): number;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void;
}

export const SILENT_LOGGER: Logger = { log: () => {} };
