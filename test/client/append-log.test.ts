// Reading and following logs.

import test from 'ava';
import { utf8 } from '#core/base/bytes.ts';
import { RefusedError, UsageError } from '#core/base/errors.ts';
import type { LogRecord } from '#core/client/append-log.ts';
import {
  A,
  B,
  flush,
  type Handler,
  pass,
  refused,
  scene,
  settled,
  willing,
} from '../support/fake-servers.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** A log that grows: pages of at most `page` records, parked reads answered by `grow`. */
function log(clock: ManualClock, page: number): { handler: Handler; grow: (count: number) => void } {
  const records: string[] = [];
  const parked = new Map<number, () => boolean>();
  const handler: Handler = (request, reply) => {
    const { body } = request;
    if (body.type !== 'read-log') return;
    const run = (): boolean => {
      const from = records.slice(body.from, body.from + Math.min(body.limit, page));
      if (from.length === 0 && body.waitMs > 0) return false;
      reply({ type: 'records', from: body.from, count: records.length, records: from.map(utf8) });
      return true;
    };
    if (run()) return;
    if (parked.has(request.request)) reply({ type: 'ack' });
    else {
      clock.after(body.waitMs, () => {
        if (!parked.delete(request.request)) return;
        reply({ type: 'records', from: body.from, count: records.length, records: [] });
      });
    }
    parked.set(request.request, run);
  };
  const grow = (count: number): void => {
    for (let added = 0; added < count; added++) records.push(`record ${records.length}`);
    for (const [request, wake] of parked) if (wake()) parked.delete(request);
  };
  return { handler, grow };
}

const offsets = (records: readonly LogRecord[]): number[] => records.map(({ offset }) => offset);

test('read: goes on page by page up to the limit, and says where to go on', async (t) => {
  const clock = new ManualClock();
  const { handler, grow } = log(clock, 3);
  grow(10);
  const { servers, client } = scene({ [A]: willing({ 'read-log': handler }) }, { clock });
  const whole = await settled(clock, client.read('log'));
  t.deepEqual(offsets(whole.records), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.is(whole.records[4]?.text, 'record 4');
  t.deepEqual([whole.next, whole.count], [10, 10]);
  const some = await settled(clock, client.read('log', { from: 2, limit: 5 }));
  t.deepEqual(offsets(some.records), [2, 3, 4, 5, 6]);
  t.deepEqual([some.next, some.count], [7, 10]);
  t.deepEqual(await settled(clock, client.read('log', { from: 10 })), { records: [], next: 10, count: 10 });
  t.is(servers.of('open-session').length, 0);
});

test('read: a trimmed log is code 8, one that is not there code 1', async (t) => {
  const { clock, client } = scene({
    [A]: willing({
      'read-log': ({ body }, reply) =>
        reply(
          (body as { log: string }).log === 'old' ? refused(8, 'trimmed-away') : refused(1, 'no-such-log'),
        ),
    }),
  });
  for (const [name, code] of [
    ['old', 8],
    ['gone', 1],
  ] as const) {
    const error = await t.throwsAsync(settled(clock, client.read(name)), { instanceOf: RefusedError });
    t.is((error as RefusedError).code, code);
  }
});

test('tail: yields what is there and what comes, each record once, and survives lost answers', async (t) => {
  const clock = new ManualClock();
  const { handler, grow } = log(clock, 4);
  let lose = 0;
  const { client } = scene(
    {
      [A]: willing({
        'read-log': (request, reply, sent) => {
          // Every third transmission is lost.
          if (++lose % 3 !== 0) handler(request, reply, sent);
        },
      }),
    },
    { clock },
  );
  grow(6);
  const got: number[] = [];
  const controller = new AbortController();
  const tailing = (async () => {
    for await (const record of client.tail('log', { from: 1, signal: controller.signal }))
      got.push(record.offset);
  })();
  tailing.catch(() => {});
  await pass(clock, 2_000);
  t.deepEqual(got, [1, 2, 3, 4, 5]);
  grow(7);
  await pass(clock, 3_000);
  // Longer than one parked read lasts.
  await pass(clock, 25_000, 5);
  grow(1);
  await pass(clock, 3_000);
  t.deepEqual(
    got,
    Array.from({ length: 13 }, (_, index) => index + 1),
  );
  controller.abort(new Error('enough'));
  await t.throwsAsync(tailing, { message: 'enough' });
});

test('tail: goes on at the same offset with another server', async (t) => {
  const clock = new ManualClock();
  const { handler, grow } = log(clock, 100);
  grow(2);
  const { servers, client } = scene(
    { [A]: willing({ 'read-log': handler }), [B]: willing({ 'read-log': handler }) },
    { servers: [A, B], clock },
  );
  const got: number[] = [];
  const tail = client.tail('log');
  (async () => {
    for await (const record of tail) got.push(record.offset);
  })().catch(() => {});
  await pass(clock, 100);
  servers.handlers.delete(A);
  await pass(clock, 8_000, 2);
  grow(2);
  await pass(clock, 2_000, 2);
  t.deepEqual(got, [0, 1, 2, 3]);
  t.is(servers.sent.at(-1)?.to, B);
});

test('tail: follow false stops at the end', async (t) => {
  const clock = new ManualClock();
  const { handler, grow } = log(clock, 2);
  grow(5);
  const { client } = scene({ [A]: willing({ 'read-log': handler }) }, { clock });
  const all = (async () => {
    const got: LogRecord[] = [];
    for await (const record of client.tail('log', { follow: false })) got.push(record);
    return got;
  })();
  t.deepEqual(offsets(await settled(clock, all)), [0, 1, 2, 3, 4]);
  await t.throwsAsync(client.tail('bad name').next(), { instanceOf: UsageError });
  await flush();
});
