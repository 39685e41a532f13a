import { readdir, readlink, symlink } from 'node:fs/promises';
import test from 'ava';
import { DirectoryInUseError } from '#core/storage/directory-lock.ts';
import { DamageError } from '#core/storage/interface.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { abandonedClock, openTest, temporaryDirectory } from '../support/storage-kit.ts';

test('openStorage: a directory that is open is refused, naming the process, and is free after close', async (t) => {
  const directory = await temporaryDirectory(t);
  const first = await openTest(directory);
  const error = await t.throwsAsync(openTest(directory), { instanceOf: DirectoryInUseError });
  t.is(error?.processId, process.pid);
  t.regex(error?.message ?? '', new RegExp(`process ${process.pid} has it open`));
  await first.close();
  await (await openTest(directory)).close();
  t.false((await readdir(directory)).includes('lock'));
});

test('openStorage: of many that open one directory at once exactly one succeeds', async (t) => {
  const directory = await temporaryDirectory(t);
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => openTest(directory)));
  const opened = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  t.is(opened.length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') t.true(outcome.reason instanceof DirectoryInUseError);
  }
  await opened[0]?.value.close();
});

test('openStorage: the lock of a dead process, of an earlier one of that number, or of another boot is taken over', async (t) => {
  const directory = await temporaryDirectory(t);
  for (const owner of [
    '4194305 1@x',
    `${process.pid} 1@x`,
    `${process.pid} `,
    '1',
    'nonsense',
    '99999999999 x',
  ]) {
    await symlink(owner, `${directory}/lock`);
    const storage = await openTest(directory);
    t.regex(await readlink(`${directory}/lock`), new RegExp(`^${process.pid} `), owner);
    await storage.close();
  }
});

test('openStorage: after a kill the next start takes over at once', async (t) => {
  const fileSystem = new FaultyFileSystem();
  await openTest('/data', { fileSystem, clock: abandonedClock });
  await t.throwsAsync(openTest('/data', { fileSystem }), { instanceOf: DirectoryInUseError });
  await (await openTest('/data', { fileSystem: fileSystem.reboot() })).close();
});

test('openStorage: after damage was found the directory is not left locked', async (t) => {
  const fileSystem = new FaultyFileSystem();
  await (await openTest('/data', { fileSystem })).close();
  const identity = fileSystem.get('/data/identity');
  fileSystem.put('/data/identity', Buffer.from('bramble storage 1 00 00\n'));
  for (let round = 0; round < 2; round++) {
    const error = await t.throwsAsync(openTest('/data', { fileSystem }), { instanceOf: DamageError });
    t.is(error?.file, 'identity');
  }
  fileSystem.put('/data/identity', identity);
  await (await openTest('/data', { fileSystem })).close();
});
