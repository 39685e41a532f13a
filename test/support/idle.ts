// A server that has sessions and held locks, and nothing to do: it must not write a byte.

import { isDeepStrictEqual } from 'node:util';
import type { ExecutionContext } from 'ava';
import { connect, type LockHandle } from '#core/index.ts';
import { diskBytesWritten } from './process-counters.ts';
import { eventually, startServer, type TestServer } from './processes.ts';

const CLIENTS = 5;

async function counters(server: TestServer): Promise<{ lastIndex: number; written: number; syncs: number }> {
  const client = await connect({ servers: [server.address], insecure: true });
  try {
    const metrics = (await client.status()).servers[0]?.status?.metrics ?? [];
    const value = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? -1;
    return {
      lastIndex: value('last_index'),
      written: value('disk_bytes_written'),
      syncs: value('disk_syncs'),
    };
  } finally {
    await client.close();
  }
}

/** All counts, once they have not changed for a while: files are written behind. */
async function settled(server: TestServer) {
  const look = async () => ({ ...(await counters(server)), kernel: diskBytesWritten(server.pid) });
  for (let before = await look(); ; ) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const now = await look();
    if (isDeepStrictEqual(now, before)) return now;
    before = now;
  }
}

/** Lets `renewals` renewals of every held lock pass. */
export async function idle(t: ExecutionContext, options: { readonly renewals: number }): Promise<void> {
  const server = await startServer(t);
  const handles: LockHandle[] = [];
  const counts = new Map<LockHandle, number>();
  for (let count = 0; count < CLIENTS; count++) {
    const client = await connect({ servers: [server.address], insecure: true });
    t.teardown(() => client.close());
    await client.kv.put(`key-${count}`, 'x');
    handles.push(await client.lock(`own-${count}`), await client.lock('all', { shared: true }));
  }
  const before = await settled(server);
  for (const handle of handles) handle.onRenewed(() => counts.set(handle, (counts.get(handle) ?? 0) + 1));
  const since = performance.now();
  await eventually(
    () => handles.every((handle) => (counts.get(handle) ?? 0) >= options.renewals || !handle.held),
    `${options.renewals} renewals of every lock`,
    options.renewals * 500 * 4 + 60_000,
  );
  const seconds = Math.round((performance.now() - since) / 1_000);
  const after = { ...(await counters(server)), kernel: diskBytesWritten(server.pid) };
  t.true(
    handles.every((handle) => handle.held),
    'every lock is held all the while',
  );
  t.log(
    `${CLIENTS} sessions, ${handles.length} held locks, ${seconds} s: ${after.kernel - before.kernel} bytes written`,
  );
  t.deepEqual(after, before, 'nothing is written');

  const client = await connect({ servers: [server.address], insecure: true });
  t.teardown(() => client.close());
  await client.kv.put('control', 'x');
  const control = diskBytesWritten(server.pid);
  if (control === after.kernel) t.log('the file system is none that the kernel counts writes of');
  t.true((await counters(server)).written > after.written, 'a change is written, and counted');
}
