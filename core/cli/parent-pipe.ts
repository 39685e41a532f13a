/**
 * Ends a process with the one that started it, however that one ended: the parent holds the writing end of the child's
 * stdin and never writes. A kill -9 of the parent closes the pipe, which is the only sign that always comes.
 */

import process from 'node:process';

/** Set to 1 in the environment of a child whose stdin is such a pipe. */
export const PARENT_PIPE_VARIABLE = 'BRAMBLE_PARENT_PIPE';

/** Calls `ended` once when the parent is gone, if this process was started that way. Returns whether it was. */
export function watchParentPipe(ended: () => void): boolean {
  if (process.env[PARENT_PIPE_VARIABLE] !== '1') return false;
  // What this process starts itself has another stdin.
  delete process.env[PARENT_PIPE_VARIABLE];
  let told = false;
  const tell = (): void => {
    if (told) return;
    told = true;
    ended();
  };
  process.stdin.on('end', tell).on('close', tell).on('error', tell).resume();
  return true;
}
