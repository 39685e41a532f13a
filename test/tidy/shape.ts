// What every source file looks like from outside: how it opens, and how long it is.

import type { Breach, Source } from './source.ts';

/** No file is longer, whatever the reason. */
const linesMax = 800;

/** A file of core or agent that is longer needs a reason in `longFiles`. */
const linesMaxUnexplained = 400;

/** Files of more than 400 lines, each with the reason why it is one thing. */
export const longFiles: Record<string, string> = {
  'core/server/server.ts':
    'the loop: what is persisted, sent, applied and answered in which order is one thing to see',
  'core/storage/record-store.ts':
    'what happens to the files happens in one order, and that order is the safety',
  'core/raft/raft.ts':
    'the rules of one server (Raft, figure 2) read best in one place, as they hold together',
};

/** A file of core or agent that does not open with a comment saying what it is. */
export function openingBreaches({ path, text }: Source): Breach[] {
  const opening = /^(?:#!.*\n)?(?:\/\/|\/\*\*?)(?<words>[^\n]*(?:\n[ /*]*[^\n]*)?)/.exec(text);
  const words = opening?.groups?.words?.match(/[A-Za-z]{2,}/g) ?? [];
  if (words.length >= 3) return [];
  return [`${path}: does not open with a comment that says what it is`];
}

/** A file that is too long, or long without a reason. */
export function lengthBreaches(
  { path, text }: Source,
  reasons: Record<string, string> = longFiles,
): Breach[] {
  const lines = text.replace(/\n$/, '').split('\n').length;
  if (lines > linesMax) return [`${path}: ${lines} lines, more than ${linesMax}: split it`];
  if (lines > linesMaxUnexplained && /^(core|agent)\//.test(path) && reasons[path] === undefined) {
    return [
      `${path}: ${lines} lines, more than ${linesMaxUnexplained}: split it, or say in longFiles ` +
        'of test/tidy/shape.ts why it is one thing',
    ];
  }
  return [];
}
