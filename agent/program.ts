// The bramble program's commands: core's command table and the agent's own. The links brambled and bramble-agent are short for
// `bramble server` and `bramble agent`.

import { basename, dirname } from 'node:path';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import { COMMANDS, type Command, runProgram } from 'bramble/cli';
import { LAB } from './lab/lab.ts';
import manifest from './package.json' with { type: 'json' };

const LINKS: Readonly<Record<string, string>> = { brambled: 'server', 'bramble-agent': 'agent' };

const own = isSea() ? null : fileURLToPath(new URL('./main.ts', import.meta.url));
const calledAs = LINKS[basename(process.argv0)] ?? LINKS[basename(process.argv[1] ?? '')];
const words = process.argv.slice(2);

/** The lab stands behind the server in the list of commands. */
function withLab(commands: readonly Command[]): Command[] {
  const [server, ...others] = commands as [Command, ...Command[]];
  return [server, LAB, ...others];
}

await runProgram({
  argv: calledAs === undefined ? words : [calledAs, ...words],
  commands: withLab(COMMANDS),
  entry: own,
  version: manifest.version,
  checkout: own === null ? null : dirname(own),
});
