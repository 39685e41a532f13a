// Cuts the power of a whole server while a batch is on its way to the disk, at every byte of it, and looks at what clients
// find after the next start.

import type { ExecutionContext } from 'ava';
import { Prng } from '#core/base/prng.ts';
import type { Client } from '#core/client/client.ts';
import { FaultyFileSystem } from './faulty-file-system.ts';
import { MemoryNetwork } from './memory-network.ts';
import { eventually } from './processes.ts';
import { testClock } from './storage-kit.ts';
import { connectWhole, DATA, startWholeServer, visibleState, type WholeServer } from './whole-server.ts';

const SEGMENT = `${DATA}/wal/0000000000000001.wal`;

interface Stalled {
  readonly disk: FaultyFileSystem;
  readonly network: MemoryNetwork;
  readonly client: Client;
  /** What was asked for and is in the batch that never became durable. */
  readonly pending: Promise<unknown>[];
  /** Where the last completed sync ended, and the log with the batch behind it. */
  readonly durableBytes: number;
  readonly log: Buffer;
}

const ACKNOWLEDGED = {
  logs: { file_0: ['guarded\n'], file_1: [], open: ['one\n', 'two\n', 'the last acknowledged one\n'] },
  keys: { colour: 'red' },
  locks: [{ lock: 'files', tokens: [1], waiters: 0 }],
};
const LARGE = 'large '.repeat(200);
const WITH_BATCH = {
  logs: {
    file_0: ['guarded\n', 'guarded and torn\n'],
    file_1: [],
    open: [...ACKNOWLEDGED.logs.open, 'torn\n', LARGE],
  },
  keys: { colour: 'green', taste: 'sweet' },
  locks: [
    { lock: 'files', tokens: [1], waiters: 0 },
    { lock: 'other', tokens: [2], waiters: 0 },
  ],
};

/** Makes the acknowledged state, then one batch of six commands that is written and whose sync never comes back. */
async function stallInBatch(t: ExecutionContext, seed: number): Promise<Stalled> {
  const disk = new FaultyFileSystem();
  const network = new MemoryNetwork({ clock: testClock, seed });
  const server = await startWholeServer({ disk, network, seed });
  t.teardown(() => server.die());
  const client = connectWhole(network);
  t.teardown(() => client.close());
  const lock = await client.lock('files', { ttlMs: 60_000 });
  await client.logs.create('open');
  await client.append('open', 'one\n');
  await client.append('file_0', 'guarded\n', { lock });
  await client.append('open', 'two\n');
  await client.kv.put('colour', 'red');
  const { durableBytes, pending } = await fillBatch({ disk, client, server }, [
    () => client.append('open', 'torn\n'),
    () => client.append('file_0', 'guarded and torn\n', { lock }),
    () => client.append('open', LARGE),
    () => client.kv.cas('colour', 'red', 'green'),
    () => client.kv.put('taste', 'sweet'),
    () => client.lock('other', { ttlMs: 60_000 }),
  ]);
  server.die();
  return { disk, network, client, pending, durableBytes, log: Buffer.from(disk.get(SEGMENT)) };
}

/** One more record is acknowledged; while its sync is held back the batch of `work` piles up behind it. */
async function fillBatch(
  { disk, client, server }: { disk: FaultyFileSystem; client: Client; server: WholeServer },
  work: readonly (() => Promise<unknown>)[],
): Promise<{ durableBytes: number; pending: Promise<unknown>[] }> {
  let goOn: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let syncs = 0;
  disk.intercept = ({ operation, path }) => {
    if (operation !== 'sync' || path !== SEGMENT) return;
    syncs += 1;
    return syncs === 1 ? held : new Promise<void>(() => {});
  };
  const before = disk.get(SEGMENT).length;
  const last = client.append('open', 'the last acknowledged one\n');
  await eventually(() => disk.get(SEGMENT).length > before, 'the batch before is written');
  const index = server.server.status().members[0]?.commitIndex ?? 0;
  const pending: Promise<unknown>[] = [];
  for (const one of work) {
    // One after the other, so that their order in the log is known.
    const wanted = index + 1 + pending.length + 1;
    pending.push(one());
    const lastIndex = () => server.server.status().metrics.find(({ name }) => name === 'last_index')?.value;
    await eventually(() => lastIndex() === wanted, `entry ${wanted} is in the log`);
  }
  const durableBytes = disk.get(SEGMENT).length;
  goOn();
  await last;
  await eventually(() => syncs === 2, 'the batch is written and not synced');
  return { durableBytes, pending };
}

/** The log as a power cut leaves it: cut off, or as long as it was going to be with nothing or anything behind the cut. */
function remains(log: Buffer, cut: number, prng: Prng): Buffer[] {
  const zeros = Buffer.from(log).fill(0, cut);
  const garbage = Buffer.concat([log.subarray(0, cut), prng.bytes(log.length - cut)]);
  return [log.subarray(0, cut), zeros, garbage].filter((one) => !one.equals(log));
}

/** What clients find on a server that is started on `disk`; the server is stopped again. */
async function stateOn(disk: FaultyFileSystem, seed: number): Promise<unknown> {
  const network = new MemoryNetwork({ clock: testClock, seed });
  const server = await startWholeServer({ disk, network, seed });
  const client = connectWhole(network);
  try {
    return await visibleState(client);
  } finally {
    await client.close();
    server.die();
  }
}

/** Nothing cut, and the clients that waited for the batch go on; then every `stride`th byte of it, and its last one. */
export async function cutPowerAtBytes(
  t: ExecutionContext,
  options: { readonly stride: number; readonly seed: number },
): Promise<void> {
  const { stride, seed } = options;
  const stalled = await stallInBatch(t, seed);
  const { disk, durableBytes, log } = stalled;
  // First, while the clients still wait.
  await goOn(t, stalled, { cut: log.length, seed });
  const prng = new Prng(seed);
  const cuts = [log.length - 1];
  for (let cut = durableBytes; cut < log.length - 1; cut += stride) cuts.push(cut);
  let starts = 0;
  for (const cut of cuts) {
    for (const [which, bytes] of remains(log, cut, prng).entries()) {
      starts += 1;
      // What was not synced elsewhere is there or not, by turns.
      const image = disk.powerCut({ names: 'all', data: starts % 2 === 0 ? 'all' : 'synced' });
      image.put(SEGMENT, bytes);
      const about = `cut at ${cut} of ${durableBytes} to ${log.length}, variant ${which}`;
      t.deepEqual(await stateOn(image, seed + starts), ACKNOWLEDGED, about);
    }
  }
  t.log(
    `${log.length - durableBytes} bytes behind the last sync, ${starts} starts, each with exactly the acknowledged state`,
  );
}

/** The clients that waited for the torn batch go on with the next server as if nothing had been. */
async function goOn(
  t: ExecutionContext,
  stalled: Stalled,
  options: { readonly cut: number; readonly seed: number },
): Promise<void> {
  const { disk, network, client, pending, durableBytes, log } = stalled;
  const { cut, seed } = options;
  const image = disk.powerCut({ names: 'synced', data: 'synced' });
  image.put(SEGMENT, log.subarray(0, cut));
  const server = await startWholeServer({ disk: image, network, seed: seed + 1 });
  t.teardown(() => server.die());
  await Promise.all(pending);
  const state = (await visibleState(client)) as typeof WITH_BATCH;
  // Resent by their own timers, so in any order; each once.
  for (const records of Object.values(state.logs)) records.sort();
  const expected = structuredClone(WITH_BATCH);
  for (const records of Object.values(expected.logs)) records.sort();
  t.deepEqual(state, expected, `cut at ${cut} of ${durableBytes} to ${log.length}`);
  await client.close();
}

export async function goOnAfterPowerCut(
  t: ExecutionContext,
  options: { readonly part: number; readonly seed: number },
): Promise<void> {
  const { part, seed } = options;
  const stalled = await stallInBatch(t, seed);
  const { durableBytes, log } = stalled;
  const cut = durableBytes + Math.floor(part * (log.length - durableBytes));
  await goOn(t, stalled, { cut, seed });
}
