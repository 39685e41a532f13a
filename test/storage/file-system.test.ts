import test, { type ExecutionContext } from 'ava';
import { type FileSystem, realFileSystem, rootedFileSystem } from '#core/storage/file-system.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { temporaryDirectory } from '../support/storage-kit.ts';

const MAKERS: Record<string, (t: ExecutionContext) => Promise<{ fileSystem: FileSystem; root: string }>> = {
  realFileSystem: async (t) => ({ fileSystem: realFileSystem, root: await temporaryDirectory(t) }),
  FaultyFileSystem: async () => {
    const fileSystem = new FaultyFileSystem();
    await fileSystem.makeDirectory('/root');
    return { fileSystem, root: '/root' };
  },
};

for (const [name, make] of Object.entries(MAKERS)) {
  test(`${name}: a file is written, read, cut and seen under each of its names`, async (t) => {
    const { fileSystem, root } = await make(t);
    const file = await fileSystem.open(`${root}/a`, 'create');
    await file.write(Buffer.from('hello'), 0);
    await file.write(Buffer.from('J'), 0);
    await file.write(Buffer.from('!'), 6);
    await file.sync();
    const target = Buffer.alloc(10, 0xff);
    t.is(await file.read(target, 1), 6, 'to the end of the file');
    t.is(target.toString('latin1', 0, 6), 'ello\0!');
    t.is(await file.read(target, 100), 0, 'beyond the end');
    await file.truncate(5);
    await file.close();
    await fileSystem.link(`${root}/a`, `${root}/b`);
    const [a, b] = [await fileSystem.status(`${root}/a`), await fileSystem.status(`${root}/b`)];
    t.deepEqual(a, b);
    t.is(a?.size, 5);
    t.is(a?.type, 'file');
    t.deepEqual(await fileSystem.list(root), ['a', 'b']);
    await fileSystem.rename(`${root}/a`, `${root}/b`);
    t.deepEqual(
      await fileSystem.list(root),
      ['a', 'b'],
      'renaming between two names of one file does nothing',
    );
    await fileSystem.remove(`${root}/a`);
    await fileSystem.rename(`${root}/b`, `${root}/c`);
    await fileSystem.syncDirectory(root);
    t.deepEqual(await fileSystem.list(root), ['c']);
    t.is(await fileSystem.status(`${root}/b`), null);
  });

  test(`${name}: what cannot be says so by its code`, async (t) => {
    const { fileSystem, root } = await make(t);
    await t.throwsAsync(fileSystem.open(`${root}/none`, 'read'), { code: 'ENOENT' });
    await t.throwsAsync(fileSystem.open(`${root}/none`, 'write'), { code: 'ENOENT' });
    await t.throwsAsync(fileSystem.remove(`${root}/none`), { code: 'ENOENT' });
    await t.throwsAsync(fileSystem.rename(`${root}/none`, `${root}/x`), { code: 'ENOENT' });
    await t.throwsAsync(fileSystem.list(`${root}/none`), { code: 'ENOENT' });
    await (await fileSystem.open(`${root}/a`, 'create')).close();
    await t.throwsAsync(fileSystem.open(`${root}/a`, 'create'), { code: 'EEXIST' });
    await t.throwsAsync(fileSystem.link(`${root}/a`, `${root}/a`), { code: 'EEXIST' });
    await t.throwsAsync(fileSystem.symbolicLink('x', `${root}/a`), { code: 'EEXIST' });
    await t.throwsAsync(fileSystem.readLink(`${root}/a`), { code: 'EINVAL' });
  });

  test(`${name}: symbolic links, directories, space and processes`, async (t) => {
    const { fileSystem, root } = await make(t);
    await fileSystem.symbolicLink('12 ab', `${root}/link`);
    t.is(await fileSystem.readLink(`${root}/link`), '12 ab');
    await fileSystem.makeDirectory(`${root}/x/y/z`);
    await fileSystem.makeDirectory(`${root}/x/y/z`);
    t.is((await fileSystem.status(`${root}/x/y/z`))?.type, 'directory');
    const { freeBytes, totalBytes } = await fileSystem.space(root);
    t.true(freeBytes > 0 && freeBytes <= totalBytes);
    const start = await fileSystem.processStart(fileSystem.processId);
    t.not(start, null);
    t.is(await fileSystem.processStart(fileSystem.processId), start);
    t.is(await fileSystem.processStart(2 ** 22 + 1), null);
  });

  test(`${name}: rootedFileSystem sees the same under its directory and counts what is written`, async (t) => {
    const { fileSystem, root } = await make(t);
    let written = 0;
    const rooted = rootedFileSystem(fileSystem, root, (bytes) => {
      written += bytes;
    });
    const file = await rooted.open('a', 'replace');
    await file.write(Buffer.from('abc'), 0);
    await file.close();
    t.is(written, 3);
    t.deepEqual(await rooted.list('.'), ['a']);
    t.is((await fileSystem.status(`${root}/a`))?.size, 3);
  });
}
