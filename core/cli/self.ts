/** How the program starts itself again: the lock's watcher, and the servers of a lab. */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import process from 'node:process';

/** `entry` is the program's own file, or null in a single binary, which is its own entry. */
export function spawnSelf(
  entry: string | null,
  args: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const before = entry === null ? [] : [...process.execArgv, entry];
  return spawn(process.execPath, [...before, ...args], options);
}
