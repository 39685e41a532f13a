/** `bramble key new` and `bramble key derive`. */

import { nodeCrypto, nodeEntropy } from '../../node/crypto.ts';
import { KeyFileError, readKeyFile, writeKeyFile } from '../../node/keys-file.ts';
import { deriveKey, type Key, type KeyRole, newClusterKey } from '../../wire/keys.ts';
import type { Command } from '../command.ts';
import { EXIT, wrongUsage } from '../exit.ts';
import { JSON_FLAG } from '../flags.ts';
import { fromFolder } from '../paths.ts';

export const KEY_NEW: Command = {
  words: ['key', 'new'],
  family: 'local',
  summary: 'Make a new cluster key',
  details: [
    'The file is made with mode 0600 and never overwrites another. Servers need the cluster’s key; give clients a key derived from it.',
  ],
  positionals: [{ name: 'FILE' }],
  flags: [JSON_FLAG],
  examples: ['bramble key new cluster.key'],
  async run({ positionals, folder, output, settings }) {
    const path = fromFolder(folder, positionals[0] as string);
    await write(path, newClusterKey(nodeEntropy));
    if (settings.switch('json')) await output.json({ file: path, role: 'cluster' });
    else output.message(`Made ${path}, a cluster key: for servers only.`);
    return EXIT.fine;
  },
};

/** A file that is in the way, or cannot be made, is the caller's choice of name. */
async function write(path: string, key: Key): Promise<void> {
  try {
    await writeKeyFile(path, key);
  } catch (error) {
    throw error instanceof KeyFileError ? wrongUsage(error.message) : error;
  }
}

const ROLES: readonly KeyRole[] = ['client', 'observer'];

export const KEY_DERIVE: Command = {
  words: ['key', 'derive'],
  family: 'local',
  summary: 'Derive a client’s or observer’s key from the cluster’s',
  details: [
    'A client’s key locks, appends, reads and writes; an observer’s shows how the cluster is (ping, status, lists) and nothing that people stored. Neither can act as a server, and nothing leads back from them to the cluster’s key.',
  ],
  positionals: [{ name: 'FILE' }, { name: 'OUT' }],
  flags: [
    {
      name: 'role',
      type: 'text',
      placeholder: 'ROLE',
      help: 'what the key is for: client or observer (required)',
    },
    JSON_FLAG,
  ],
  examples: ['bramble key derive cluster.key --role client client.key'],
  async run({ positionals, folder, output, settings }) {
    const wanted = settings.text('role');
    const role = ROLES.find((each) => each === wanted);
    if (role === undefined) {
      throw wrongUsage(
        `bramble key derive: --role must be client or observer${wanted === null ? '' : `, not "${wanted}"`}`,
      );
    }
    const from = fromFolder(folder, positionals[0] as string);
    const to = fromFolder(folder, positionals[1] as string);
    const source = await readKeyFile(from, ['cluster']);
    for (const warning of source.warnings) output.message(warning);
    const key = deriveKey({ crypto: nodeCrypto, key: source.key, role });
    if (typeof key === 'string') throw wrongUsage(`Cannot derive from ${from}: ${key}`);
    await write(to, key);
    if (settings.switch('json')) await output.json({ file: to, role });
    else output.message(`Made ${to}, a key of role ${role}.`);
    return EXIT.fine;
  },
};
