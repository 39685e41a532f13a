// Key files: made once with mode 0600, read with clear errors.

import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { nodeCrypto, nodeEntropy } from '#core/node/crypto.ts';
import { KeyFileError, readKeyFile, writeKeyFile } from '#core/node/keys-file.ts';
import { deriveKey, type Key, newClusterKey } from '#core/wire/keys.ts';

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'bramble-keys-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('writeKeyFile, readKeyFile: a key comes back as it was, from a file of mode 0600', async (t) => {
  const path = join(await folder(t), 'cluster.key');
  const key = newClusterKey(nodeEntropy);
  await writeKeyFile(path, key);
  t.is((await stat(path)).mode & 0o777, 0o600);
  t.deepEqual(await readKeyFile(path, ['cluster']), { key, warnings: [] });
  t.regex(await readFile(path, 'utf8'), /^# bramble\. Cluster key: for servers only\./);
});

test('writeKeyFile: refuses whatever is there already, also a dangling link, and a missing folder', async (t) => {
  const at = await folder(t);
  const key = newClusterKey(nodeEntropy);
  const path = join(at, 'a.key');
  await writeFile(path, 'mine');
  await t.throwsAsync(writeKeyFile(path, key), { instanceOf: KeyFileError, message: /it exists/ });
  t.is(await readFile(path, 'utf8'), 'mine');
  await symlink(join(at, 'nowhere'), join(at, 'link.key'));
  await t.throwsAsync(writeKeyFile(join(at, 'link.key'), key), { message: /it exists/ });
  await t.throwsAsync(writeKeyFile(join(at, 'no', 'b.key'), key), {
    instanceOf: KeyFileError,
    message: /ENOENT/,
  });
});

test('readKeyFile: says which file, what is wrong and what to do', async (t) => {
  const at = await folder(t);
  const key = newClusterKey(nodeEntropy);
  const client = deriveKey({ crypto: nodeCrypto, key, role: 'client' }) as Key;
  const path = join(at, 'client.key');
  await writeKeyFile(path, client);
  await t.throwsAsync(readKeyFile(path, ['cluster']), {
    instanceOf: KeyFileError,
    message: `Cannot use key file ${path}: it holds a key of role client, where cluster is needed`,
  });
  t.deepEqual((await readKeyFile(path, ['cluster', 'client'])).key, client);
  await t.throwsAsync(readKeyFile(join(at, 'none'), ['client']), { message: /there is no such file/ });
  await t.throwsAsync(readKeyFile(at, ['client']), { message: /not a file/ });
  const empty = join(at, 'empty');
  await writeFile(empty, '');
  await t.throwsAsync(readKeyFile(empty, ['client']), { message: /the file is empty/ });
  const large = join(at, 'large');
  await writeFile(large, 'x'.repeat(10_000));
  await t.throwsAsync(readKeyFile(large, ['client']), {
    message: /not a bramble key file, it has 10000 bytes/,
  });
});

test('readKeyFile: warns of a file that others can read, and uses it', async (t) => {
  const path = join(await folder(t), 'a.key');
  const key = newClusterKey(nodeEntropy);
  await writeKeyFile(path, key);
  await chmod(path, 0o640);
  const read = await readKeyFile(path, ['cluster']);
  t.deepEqual(read.key, key);
  t.is(read.warnings.length, 1);
  t.regex(read.warnings[0]!, /mode 0640.*chmod 600/);
});
