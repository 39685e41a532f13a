/**
 * The command line of core's own commands: the table, and `main`, which finds a command, reads its flags, runs it and says
 * with which code the process should end.
 *
 * Invariant: every way out is an exit code of the one table in exit.ts. Only a fault of the program itself (a failed
 * assertion, an exception nobody expected) leaves `main` as an exception.
 */

import { findCommand, parseArguments, unknownCommand } from './arguments.ts';
import type { Context, Surroundings } from './command.ts';
import { EXIT, ending, wrongUsage } from './exit.ts';
import { commandHelp, groupOverview, overview } from './help.ts';
import { readTextFile } from './paths.ts';
import { readSettings } from './settings.ts';

export async function main(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const cleanups: (() => Promise<void> | void)[] = [];
  const { output } = surroundings;
  const state = { outlivesStdout: false };
  // Whoever reads has seen enough: end as if all had been written, but leave no session open.
  const closed = new Promise<number>((resolve) => {
    output.onClosed(() => {
      if (state.outlivesStdout) return;
      void endAll(cleanups).then(() => resolve(EXIT.fine));
    });
  });
  try {
    return await Promise.race([run(argv, surroundings, cleanups, state), closed]);
  } catch (error) {
    const end = ending(error);
    if (end === null) throw error;
    output.message(end.message);
    return end.exit;
  } finally {
    await endAll(cleanups);
  }
}

async function run(
  argv: readonly string[],
  surroundings: Surroundings,
  cleanups: (() => Promise<void> | void)[],
  state: { outlivesStdout: boolean },
): Promise<number> {
  const { commands, output } = surroundings;
  const first = argv[0];
  if (first === undefined || first === '--help' || first === '-h') {
    await output.line(overview(commands));
    return EXIT.fine;
  }
  if (first === 'help') return help(argv.slice(1), surroundings);
  const words = first === '--version' ? ['version', ...argv.slice(1)] : argv;
  const command = findCommand(commands, words);
  if (command === null) {
    if (words.includes('--help') || words.includes('-h')) {
      return help(words.slice(0, 1), surroundings);
    }
    throw unknownCommand(commands, words);
  }
  const parsed = parseArguments(command, words.slice(command.words.length));
  if (parsed.help) {
    await output.line(commandHelp(command));
    return EXIT.fine;
  }
  const settings = readSettings({
    command,
    commands,
    flags: parsed.flags,
    environment: surroundings.environment,
    readFile: (path) => readTextFile(surroundings.folder, path),
  });
  const context: Context = {
    ...surroundings,
    command,
    settings,
    positionals: parsed.positionals,
    child: parsed.child,
    onEnd(cleanup) {
      cleanups.push(cleanup);
      return () => {
        const at = cleanups.indexOf(cleanup);
        if (at >= 0) cleanups.splice(at, 1);
      };
    },
    outliveStdout() {
      state.outlivesStdout = true;
    },
  };
  return command.run(context);
}

async function help(words: readonly string[], surroundings: Surroundings): Promise<number> {
  const { commands, output } = surroundings;
  const first = words[0];
  if (first === undefined) {
    await output.line(overview(commands));
    return EXIT.fine;
  }
  const command = findCommand(commands, words);
  if (command !== null && command.words.length === words.length) {
    await output.line(commandHelp(command));
    const others = commands.filter((other) => other.words[0] === first && other.words.length > 1);
    if (command.words.length === 1 && others.length > 0) {
      await output.line(`\nSee also:\n${groupOverview(others, first)}`);
    }
    return EXIT.fine;
  }
  if (commands.some((other) => other.words[0] === first && other.words.length > 1) && words.length === 1) {
    await output.line(groupOverview(commands, first));
    return EXIT.fine;
  }
  if (command !== null) throw wrongUsage(`bramble help: there is no command "${words.join(' ')}"`);
  throw unknownCommand(commands, words);
}

/** Runs each cleanup once, the last registered first; one that fails does not keep the others from running. */
async function endAll(cleanups: (() => Promise<void> | void)[]): Promise<void> {
  for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) {
    try {
      await cleanup();
    } catch {
      // The process is about to end, and what a cleanup gives back (a session) ends by itself as well.
    }
  }
}
