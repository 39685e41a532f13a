// Many clients behind a link that loses, doubles and reorders by a seed; then the books are compared with the files.

import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { connect } from '#core/index.ts';
import { Ledger } from './ledger.ts';
import { startServer } from './processes.ts';
import { Relay } from './relay.ts';

export async function lossyLink(
  t: ExecutionContext,
  options: { readonly clients: number; readonly appends: number; readonly seed: number },
): Promise<void> {
  const { clients, appends, seed } = options;
  const server = await startServer(t);
  const relay = await Relay.open(t, server.address, seed);
  const direct = await connect({ servers: [server.address], insecure: true });
  t.teardown(() => direct.close());
  await direct.logs.create('open');
  relay.weather = { loss: 0.2, duplicate: 0.1, delayed: 0.2, delayMs: 30 };
  const ledger = new Ledger();
  const worked = Array.from({ length: clients }, async (_, number) => {
    const client = await connect({ servers: [relay.address], insecure: true, timeoutMs: 60_000 });
    try {
      for (let count = 0; count < appends; count++) {
        // Every tenth under the lock of all; the others at once, side by side with everybody's.
        if (count % 10 === number % 10) {
          await ledger.holding(client, { name: 'files', ttlMs: 10_000 }, async (lock) => {
            await ledger.append(client, 'file_0', { lock });
          });
        } else await ledger.append(client, 'open', { padding: count % 7 === 0 ? 3_000 : 20 });
      }
    } finally {
      await client.close();
    }
  });
  for (const result of await Promise.allSettled(worked)) {
    t.is(result.status, 'fulfilled', result.status === 'rejected' ? String(result.reason) : '');
  }
  const found = await ledger.verify(direct, join(server.dataDir, 'files'));
  t.log(
    `${clients} clients × ${appends} appends: datagrams passed ${relay.passed.up} up, ${relay.passed.down} down, ` +
      `lost ${relay.dropped.up} and ${relay.dropped.down}; acknowledged ${found.acknowledged}, unknown ${found.unknown}, ` +
      `lost ${found.lost.length}, duplicates ${found.duplicates.length}, double holders ${found.doubleHolders.length}`,
  );
  t.is(found.acknowledged, clients * appends);
  t.deepEqual(found.lost, []);
  t.deepEqual(found.duplicates, []);
  t.deepEqual(found.doubleHolders, []);
  t.deepEqual(found.others, []);
}
