/** `bramble kv get | put | delete | cas | list | watch`. */

import { CODES } from '../../base/codes.ts';
import { RefusedError } from '../../base/errors.ts';
import { VALUE_BYTES_MAX } from '../../base/limits.ts';
import { CONNECTION_EXITS, withClient } from '../client.ts';
import type { Command, Context } from '../command.ts';
import { CommandError, EXIT, wrongUsage } from '../exit.ts';
import { CLIENT_FLAGS } from '../flags.ts';
import { readInput } from '../input.ts';

const EXITS = [EXIT.no, ...CONNECTION_EXITS];
const KEY_FORM =
  'Keys are 1 to 128 printable ASCII characters without [ and ]; values are up to 2,048 bytes of UTF-8.';

async function print(
  context: Context,
  entry: { readonly key: string; readonly value: string | null; readonly revision: number },
  text: string,
): Promise<void> {
  if (context.settings.switch('json')) {
    await context.output.json({ key: entry.key, value: entry.value, revision: entry.revision });
  } else {
    await context.output.line(text);
  }
}

export const KV_GET: Command = {
  words: ['kv', 'get'],
  family: 'client',
  summary: 'Print the value of a key',
  details: [KEY_FORM],
  positionals: [{ name: 'KEY' }],
  flags: [
    { name: 'stale', type: 'switch', help: 'let any server answer from what it has, which may be old' },
    ...CLIENT_FLAGS,
  ],
  exits: EXITS,
  examples: ['bramble kv get colour'],
  async run(context) {
    const key = context.positionals[0] as string;
    return withClient(context, async (client) => {
      const entry = await client.kv.get(key, { stale: context.settings.switch('stale') });
      if (entry === null) throw new CommandError(`There is no key "${key}"`, EXIT.no);
      await print(context, entry, entry.value);
      return EXIT.fine;
    });
  },
};

export const KV_PUT: Command = {
  words: ['kv', 'put'],
  family: 'client',
  summary: 'Set the value of a key and print its revision',
  details: [KEY_FORM, 'Without VALUE it is all of stdin, exactly.'],
  positionals: [{ name: 'KEY' }, { name: 'VALUE', optional: true }],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble kv put colour green', 'bramble kv put motd < motd.txt'],
  async run(context) {
    const key = context.positionals[0] as string;
    const value = context.positionals[1] ?? (await readValue(context));
    return withClient(context, async (client) => {
      const { revision } = await client.kv.put(key, value);
      await print(context, { key, value, revision }, String(revision));
      return EXIT.fine;
    });
  },
};

async function readValue(context: Context): Promise<string> {
  const bytes = await readInput(context, VALUE_BYTES_MAX);
  if (bytes.length > VALUE_BYTES_MAX) {
    throw wrongUsage(`The value on stdin has more than ${VALUE_BYTES_MAX} bytes, which is the most`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw wrongUsage('The value on stdin is not UTF-8; values are text (a log takes any bytes)');
  }
}

export const KV_DELETE: Command = {
  words: ['kv', 'delete'],
  family: 'client',
  summary: 'Delete a key',
  positionals: [{ name: 'KEY' }],
  flags: CLIENT_FLAGS,
  exits: EXITS,
  examples: ['bramble kv delete colour'],
  async run(context) {
    const key = context.positionals[0] as string;
    return withClient(context, async (client) => {
      const deleted = await asAnswer(() => client.kv.delete(key), CODES.notFound);
      await print(context, { key, value: null, revision: deleted.revision }, String(deleted.revision));
      return EXIT.fine;
    });
  },
};

export const KV_CAS: Command = {
  words: ['kv', 'cas'],
  family: 'client',
  summary: 'Set a key if its value is EXPECT',
  details: [KEY_FORM, 'With --absent: bramble kv cas --absent KEY NEW sets the key if there is none.'],
  positionals: [{ name: 'KEY' }, { name: 'EXPECT' }, { name: 'NEW', optional: true }],
  flags: [
    { name: 'absent', type: 'switch', help: 'expect no value; then EXPECT is left out' },
    ...CLIENT_FLAGS,
  ],
  exits: EXITS,
  examples: ['bramble kv cas colour green blue', 'bramble kv cas --absent colour green'],
  async run(context) {
    const [key, second, third] = context.positionals as [string, string, string | undefined];
    const absent = context.settings.switch('absent');
    if (absent === (third !== undefined)) {
      throw wrongUsage(
        'bramble kv cas: usage: bramble kv cas KEY EXPECT NEW, or bramble kv cas --absent KEY NEW',
      );
    }
    const value = absent ? second : (third as string);
    const expect = absent ? null : second;
    return withClient(context, async (client) => {
      const { revision } = await asAnswer(() => client.kv.cas(key, expect, value), CODES.comparisonFailed);
      await print(context, { key, value, revision }, String(revision));
      return EXIT.fine;
    });
  },
};

/** A refusal with this code is an answer that is no. */
async function asAnswer<T>(ask: () => Promise<T>, no: number): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof RefusedError && error.code === no) throw new CommandError(error.message, EXIT.no);
    throw error;
  }
}

export const KV_LIST: Command = {
  words: ['kv', 'list'],
  family: 'client',
  summary: 'List the keys that begin with PREFIX and their values',
  details: [
    'In the order of the keys, key and value separated by a tab. Use --json where values have lines.',
  ],
  positionals: [{ name: 'PREFIX', optional: true }],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble kv list app/'],
  async run(context) {
    return withClient(context, async (client) => {
      for await (const entry of client.kv.list(context.positionals[0] ?? '')) {
        await print(context, entry, `${entry.key}\t${entry.value}`);
      }
      return EXIT.fine;
    });
  },
};

export const KV_WATCH: Command = {
  words: ['kv', 'watch'],
  family: 'client',
  summary: 'Print changes of keys that begin with PREFIX, as they happen',
  details: [
    'From now on, until Ctrl-C. A line is the key, a tab and the new value; a deletion has the key alone. With --json the value of a deletion is null.',
  ],
  positionals: [{ name: 'PREFIX', optional: true }],
  flags: [
    { name: 'initial', type: 'switch', help: 'print the entries that are there first' },
    ...CLIENT_FLAGS,
  ],
  exits: CONNECTION_EXITS,
  examples: ['bramble kv watch app/ --json'],
  async run(context) {
    const initial = context.settings.switch('initial');
    return withClient(
      context,
      async (client) => {
        const changes = client.kv.watch(context.positionals[0] ?? '', { initial });
        for await (const change of changes) {
          await print(context, change, change.value === null ? change.key : `${change.key}\t${change.value}`);
        }
        return EXIT.fine;
      },
      { endless: true },
    );
  },
};
