// A disk whose sync fails: nothing is acknowledged, and the server ends and says why.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { connect } from '#core/index.ts';
import { FaultyFileSystem, fileError } from '../support/faulty-file-system.ts';
import { MemoryNetwork } from '../support/memory-network.ts';
import { eventually, startBramble, startServer, temporaryFolder } from '../support/processes.ts';
import { testClock } from '../support/storage-kit.ts';
import { connectWhole, startWholeServer } from '../support/whole-server.ts';

const PRELOAD = fileURLToPath(new URL('../support/failing-fdatasync.ts', import.meta.url));

async function whole(seed: number) {
  const disk = new FaultyFileSystem();
  const network = new MemoryNetwork({ clock: testClock, seed });
  const server = await startWholeServer({ disk, network, seed });
  return { disk, network, server };
}

test('server: a sync that fails ends it, and what waited is not acknowledged', async (t) => {
  const { disk, network, server } = await whole(1);
  t.teardown(() => server.die());
  const client = connectWhole(network, { timeoutMs: 3_000 });
  t.teardown(() => client.close());
  await client.logs.create('open');
  await client.append('open', 'before\n');
  let failures = 0;
  disk.intercept = ({ operation, path }) => {
    if (operation !== 'sync') return;
    failures += 1;
    throw fileError('EIO', operation, path);
  };
  const appending = client.append('open', 'during\n');
  t.regex((await server.fatal).message, /EIO/);
  t.is(failures, 1, 'a failed sync is not tried again');
  const error = (await t.throwsAsync(appending)) as Error & { definite: boolean };
  t.false(error.definite, 'its outcome is unknown to the client');
});

test('server: a sync that fails for want of space acknowledges nothing before a later one came back', async (t) => {
  const { disk, network, server } = await whole(2);
  t.teardown(() => server.die());
  const client = connectWhole(network);
  t.teardown(() => client.close());
  await client.logs.create('open');
  await client.append('open', 'before\n');
  let failures = 0;
  disk.intercept = ({ operation, path }) => {
    if (operation !== 'sync' || !path.includes('/wal/')) return;
    failures += 1;
    throw fileError('ENOSPC', operation, path);
  };
  let acknowledged = false;
  const appending = client.append('open', 'during\n').then((done) => {
    acknowledged = true;
    return done;
  });
  await eventually(() => failures >= 3, 'it is tried again');
  t.false(acknowledged);
  const cut = disk.powerCut({ names: 'synced', data: 'synced' });
  disk.intercept = () => {};
  t.is((await appending).offset, 1);

  // Had the power gone before that, there would have been nothing of it.
  server.die();
  const again = await startWholeServer({ disk: cut, network, seed: 3 });
  t.teardown(() => again.die());
  const reader = connectWhole(network);
  t.teardown(() => reader.close());
  t.deepEqual(
    (await reader.read('open')).records.map((record) => record.text),
    ['before\n'],
  );
});

test('bramble server: a card that fails at fdatasync ends the program with 1 and a message', async (t) => {
  const folder = temporaryFolder(t);
  const marker = join(folder, 'fail');
  const dataDir = join(folder, 'data');
  const running = startBramble(t, ['server', '--insecure', '--listen', '127.0.0.1:0', '--data', dataDir], {
    environment: { NODE_OPTIONS: `--import=${PRELOAD}`, TEST_FAIL_FDATASYNC: marker },
  });
  const { address } = JSON.parse(await running.line(/"event":"listening"/)) as { address: string };
  const client = await connect({ servers: [address], insecure: true, timeoutMs: 3_000 });
  t.teardown(() => client.close());
  await client.logs.create('open');
  await client.append('open', 'before\n');
  writeFileSync(marker, '');
  const error = (await t.throwsAsync(() => client.append('open', 'during\n'))) as Error & {
    definite: boolean;
  };
  t.false(error.definite);
  const { code, stderr } = await running.ended;
  t.is(code, 1, stderr);
  t.regex(stderr, /The disk failed: EIO/);

  const again = await startServer(t, { dataDir });
  const reader = await connect({ servers: [again.address], insecure: true });
  t.teardown(() => reader.close());
  const texts = (await reader.read('open')).records.map((record) => record.text);
  t.is(texts[0], 'before\n', 'what was acknowledged is there');
  t.true(texts.length <= 2);
});
