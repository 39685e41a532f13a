/** From a command's flags to a client of the library, closed again whatever happens. */

import type { Client } from '../index.ts';
import { readKeyFile } from '../node/keys-file.ts';
import { ADDRESS_FORM, parseAddress } from './addresses.ts';
import type { Context } from './command.ts';
import { CommandError, EXIT } from './exit.ts';
import { fromFolder } from './paths.ts';
import { readInsecure } from './server-config.ts';

/** The exit codes of every command that asks servers. */
export const CONNECTION_EXITS: readonly number[] = [EXIT.unknown, EXIT.refused, EXIT.unreachable];

/** How long a client may take to say goodbye. What it does not give back ends by itself. */
const CLOSE_MS_MAX = 1_000;

/** After so long without an answer a person at a terminal is told what is waited for. */
const PATIENCE_MS = 1_000;

/** `endless`: waiting is what the command is for, so that nothing is said about it here. */
export async function withClient(
  context: Context,
  use: (client: Client) => Promise<number>,
  options: { readonly endless?: boolean } = {},
): Promise<number> {
  const client = await openClient(context);
  const closed = context.onEnd(() => close(client));
  const impatient = setTimeout(() => {
    if (options.endless === true) return;
    context.output.progress(`Waiting for an answer from ${readServers(context).join(', ')}`);
  }, PATIENCE_MS);
  try {
    return await use(client);
  } finally {
    clearTimeout(impatient);
    context.output.progress('');
    closed();
    await close(client);
  }
}

async function close(client: Client): Promise<void> {
  await Promise.race([client.close(), new Promise((resolve) => setTimeout(resolve, CLOSE_MS_MAX).unref())]);
}

async function openClient(context: Context): Promise<Client> {
  const { settings, folder } = context;
  const timeoutMs = settings.number('timeout') as number;
  if (timeoutMs < 1) throw wrongValue(context, 'timeout', '--timeout must be at least 1ms');
  const servers = readServers(context);
  const insecure = readInsecure(settings);
  // Loaded here, so that commands that ask nobody start without it.
  const { connect } = await import('../index.ts');
  if (insecure) return connect({ servers, insecure: true, timeoutMs });
  const keyFile = fromFolder(folder, settings.text('key-file') as string);
  const { warnings } = await readKeyFile(keyFile, ['cluster', 'client', 'observer']);
  for (const warning of warnings) context.output.message(warning);
  return connect({ servers, keyFile, timeoutMs });
}

/** The addresses of --servers, each with its port. */
export function readServers(context: Pick<Context, 'settings'>): string[] {
  return (context.settings.list('servers') as readonly string[]).map((server) => {
    const address = parseAddress(server);
    if (address !== null) return address;
    throw wrongValue(
      context,
      'servers',
      `--servers has ${JSON.stringify(server)}; each must be ${ADDRESS_FORM}`,
    );
  });
}

/** Wrong usage if it stands on the command line, else bad configuration. */
function wrongValue(context: Pick<Context, 'settings'>, flag: string, message: string): CommandError {
  const exit = context.settings.source(flag) === 'flag' ? EXIT.usage : EXIT.configuration;
  return new CommandError(message, exit);
}
