/**
 * The logger port: one JSON object a line on stderr, `{"level","message","node",…}`. No wall clock: whoever collects the
 * lines stamps them (journald does), and a Pi has no right time at boot.
 */

import type { LogFields, Logger, LogLevel } from '../base/ports.ts';

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export function createLogger(options: {
  node: string;
  /** Lines below it are not written. */
  levelMin?: LogLevel;
  /** Takes one line with its end; stderr by default. */
  write?: (line: string) => void;
}): Logger {
  const least = LEVELS.indexOf(options.levelMin ?? 'info');
  const write = options.write ?? ((line: string) => process.stderr.write(line));
  return {
    log(level: LogLevel, message: string, fields: LogFields = {}) {
      if (LEVELS.indexOf(level) < least) return;
      const line = { level, message, node: options.node };
      // Spread twice: what every line has comes first and is not shadowed by a field of the same name.
      write(`${JSON.stringify({ ...line, ...fields, ...line })}\n`);
    },
  };
}
