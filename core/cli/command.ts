/**
 * What a command is: its words, its flags, and the function that runs it. Parsing, configuration and help all read this one
 * description, so that they cannot differ.
 */

import type { Output } from './output.ts';
import type { Settings } from './settings.ts';

export type FlagType = 'switch' | 'text' | 'duration' | 'integer' | 'list';

export interface Flag {
  /** Without the dashes: `key-file`. */
  readonly name: string;
  readonly type: FlagType;
  /** What stands for the value in the help: `FILE`. None for a switch. */
  readonly placeholder?: string;
  readonly help: string;
  /** As it would be written on the command line. */
  readonly default?: string;
  /** True if the environment and --config may give it too; the others describe one invocation only. */
  readonly configurable?: boolean;
}

export interface Positional {
  readonly name: string;
  readonly optional?: boolean;
}

/** Commands of one family share one configuration file: keys of the others are known, and not used. */
export type Family = 'client' | 'server' | 'lab' | 'local';

export interface Command {
  /** `['lock', 'list']`; the longest match with the command line's first words wins. */
  readonly words: readonly string[];
  readonly family: Family;
  readonly summary: string;
  /** Paragraphs for `--help`. */
  readonly details?: readonly string[];
  readonly positionals: readonly Positional[];
  /** Whether `-- CMD…` may follow. For a command without, `--` only ends the flags. */
  readonly child?: 'optional' | 'required';
  readonly flags: readonly Flag[];
  /** Exit codes that this command ends with, beside 0, 2 and 78. */
  readonly exits?: readonly number[];
  readonly exitNotes?: readonly string[];
  readonly examples: readonly string[];
  /** Not listed, and without help: for the program's own use. */
  readonly hidden?: boolean;
  run(context: Context): Promise<number>;
}

/** What the program was started with and in. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where relative paths begin: the folder in which npm was called, else the working directory. */
  readonly folder: string;
  readonly output: Output;
  /** Opened only by the commands that read it, since merely opening it changes it for a child that shares it. */
  stdin(): NodeJS.ReadableStream;
  /** The command table, for help. */
  readonly commands: readonly Command[];
  /** The address of the program's own file, by which it starts itself again; null in a single binary. */
  readonly entry: string | null;
  readonly version: string;
  /** A folder inside the checkout, where `version` looks for the commit; null in a single binary. */
  readonly checkout: string | null;
}

export interface Context extends Surroundings {
  readonly command: Command;
  readonly settings: Settings;
  readonly positionals: readonly string[];
  /** What follows `--`; null if there was none. */
  readonly child: readonly string[] | null;
  /**
   * Registers what must be done before the process ends early (a signal, a closed stdout): last registered, first run.
   * Returns a function that takes it back.
   */
  onEnd(cleanup: () => Promise<void> | void): () => void;
  /** From now on a closed stdout does not end the command: there is work that does not need it. */
  outliveStdout(): void;
}
