// Many flipped bits in a real directory, each met by a start of the program; and the same behind a full segment, where
// what follows stands in another file.

import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Prng } from '#core/base/prng.ts';
import { connect } from '#core/index.ts';
import { refusesFlips, writeLog } from '../support/damaged-log.ts';
import { bramble, startServer, temporaryFolder } from '../support/processes.ts';
import { scale } from '../support/scale.ts';

test('server: a flipped bit with a valid record behind it is refused wherever it is', async (t) => {
  t.timeout(600_000);
  await refusesFlips(t, await writeLog(t, 'SIGKILL'), { flips: scale(40), prng: new Prng(11) });
  await refusesFlips(t, await writeLog(t, 'SIGTERM'), { flips: scale(40), prng: new Prng(12) });
});

test('server: the end of a segment is below a proved offset once another follows', async (t) => {
  t.timeout(600_000);
  const server = await startServer(t, { dataDir: join(temporaryFolder(t), 'data') });
  const client = await connect({ servers: [server.address], insecure: true });
  t.teardown(() => client.close());
  await client.logs.create('open');
  const record = Buffer.alloc(1_048_576, 'x');
  for (let count = 0; count < 20; count++) await client.append('open', record);
  await server.kill();
  const segment = join(server.dataDir, 'wal', '0000000000000001.wal');
  const whole = readFileSync(segment);
  const start = () =>
    bramble(t, ['server', '--insecure', '--listen', '127.0.0.1:0', '--data', server.dataDir]);

  const flipped = Buffer.from(whole);
  flipped[whole.length - 1] = (whole.at(-1) as number) ^ 1;
  writeFileSync(segment, flipped);
  const damaged = await start();
  t.is(damaged.code, 4);
  t.regex(damaged.stderr, /wal\/0000000000000001\.wal is damaged at offset \d+/);

  writeFileSync(segment, whole);
  truncateSync(segment, whole.length - 1);
  const cut = await start();
  t.is(cut.code, 4);
  t.regex(cut.stderr, /wal\/0000000000000001\.wal is damaged at offset \d+/);

  writeFileSync(segment, whole);
  const again = await startServer(t, { dataDir: server.dataDir });
  const reader = await connect({ servers: [again.address], insecure: true });
  t.teardown(() => reader.close());
  const { count } = await reader.read('open', { limit: 1 });
  t.is(count, 20, 'whole again, it starts with everything');
});
