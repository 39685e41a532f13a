// A command line without a process: surroundings whose output is kept in memory.

import type { Command, Surroundings } from '#core/cli/command.ts';
import { main } from '#core/cli/main.ts';
import { type Output, streamOutput } from '#core/cli/output.ts';

export interface Said {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

class MemoryStream {
  readonly isTTY: boolean;
  text = '';
  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }
  write(data: string | Uint8Array, callback: (error?: Error | null) => void): boolean {
    this.text += typeof data === 'string' ? data : Buffer.from(data).toString('utf8');
    callback();
    return true;
  }
  on(): void {}
}

export interface Setting {
  readonly commands: readonly Command[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly folder?: string;
  readonly isTerminal?: boolean;
}

export function memoryOutput(
  environment: Readonly<Record<string, string>> = {},
  isTerminal = false,
): { readonly output: Output; readonly stdout: { text: string }; readonly stderr: { text: string } } {
  const stdout = new MemoryStream(isTerminal);
  const stderr = new MemoryStream(isTerminal);
  return { output: streamOutput(stdout, stderr, environment), stdout, stderr };
}

/** Runs the words of one command line and gives what it said. */
export async function say(words: readonly string[], setting: Setting): Promise<Said> {
  const environment = setting.environment ?? {};
  const { output, stdout, stderr } = memoryOutput(environment, setting.isTerminal);
  const surroundings: Surroundings = {
    environment,
    folder: setting.folder ?? '/',
    output,
    stdin: () => process.stdin,
    commands: setting.commands,
    entry: null,
    version: '0.0.0',
    checkout: null,
  };
  const exit = await main(words, surroundings);
  return { exit, stdout: stdout.text, stderr: stderr.text };
}

/** A command that keeps what it was run with. */
export function probe(
  overrides: Partial<Command> = {},
): Command & { readonly seen: { context: Parameters<Command['run']>[0] | null } } {
  const seen: { context: Parameters<Command['run']>[0] | null } = { context: null };
  return {
    words: ['probe'],
    family: 'client',
    summary: 'Look at what arrives',
    positionals: [{ name: 'NAME', optional: true }],
    flags: [],
    examples: ['bramble probe'],
    async run(context) {
      seen.context = context;
      return 0;
    },
    ...overrides,
    seen,
  };
}
