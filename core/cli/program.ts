/** The edge: turns the process into the surroundings of `main`, and its result into the end of the process. */

import process from 'node:process';
import type { Command, Surroundings } from './command.ts';
import { main } from './main.ts';
import { streamOutput } from './output.ts';
import { startFolder } from './paths.ts';

export interface Program {
  readonly argv: readonly string[];
  readonly commands: readonly Command[];
  readonly entry: string | null;
  readonly version: string;
  readonly checkout: string | null;
}

/** Never returns: the process ends with the command's exit code, once what was written is out. */
export async function runProgram(program: Program): Promise<never> {
  const environment = process.env;
  const output = streamOutput(process.stdout, process.stderr, environment);
  const surroundings: Surroundings = {
    environment,
    folder: startFolder(environment),
    output,
    stdin: () => process.stdin,
    commands: program.commands,
    entry: program.entry,
    version: program.version,
    checkout: program.checkout,
  };
  const exit = await main(program.argv, surroundings);
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  process.exit(exit);
}
