/** `bramble version`: the package's version, the commit of a checkout, and the Node that runs it. */

import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import type { Command } from '../command.ts';
import { EXIT } from '../exit.ts';
import { JSON_FLAG } from '../flags.ts';

export const VERSION: Command = {
  words: ['version'],
  family: 'local',
  summary: 'Print the version, the commit and the Node version',
  positionals: [],
  flags: [JSON_FLAG],
  examples: ['bramble version --json'],
  async run({ output, settings, version, checkout }) {
    const commit = checkout === null ? 'unknown' : findCommit(checkout);
    if (settings.switch('json')) {
      await output.json({ version, commit, node: process.version });
    } else {
      await output.line(`bramble ${version}, commit ${commit}, Node ${process.version}`);
    }
    return EXIT.fine;
  },
};

/** The commit that the checkout around `folder` stands at, read from its files; 'unknown' if there is none. */
export function findCommit(folder: string): string {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const commit = commitAt(at);
    if (commit !== null) return commit;
    if (dirname(at) === at) return 'unknown';
  }
}

function commitAt(folder: string): string | null {
  let gitFolder = join(folder, '.git');
  // In a linked worktree .git is a file that names the folder, and that names the common one.
  const link = readText(gitFolder);
  if (link !== null) gitFolder = resolve(folder, link.replace(/^gitdir: /, ''));
  const head = readText(join(gitFolder, 'HEAD'));
  if (head === null) return null;
  if (!head.startsWith('ref: ')) return /^[0-9a-f]{40,64}$/.test(head) ? head : null;
  const reference = head.slice('ref: '.length);
  const common = resolve(gitFolder, readText(join(gitFolder, 'commondir')) ?? '.');
  const loose = readText(join(common, reference));
  if (loose !== null) return loose;
  for (const line of (readText(join(common, 'packed-refs')) ?? '').split('\n')) {
    const [commit, packed] = line.split(' ');
    if (packed === reference) return commit as string;
  }
  return null;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
