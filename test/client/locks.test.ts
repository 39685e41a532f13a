// Getting a lock: the wait, its end by time or signal, and the two ways in which a cancel can race a grant.

import test from 'ava';
import { RefusedError, UnknownOutcomeError, UnreachableError } from '#core/base/errors.ts';
import type { ResponseBody } from '#core/wire/client-messages.ts';
import {
  A,
  answer,
  flush,
  type Handler,
  noAnswer,
  pass,
  scene,
  settled,
  willing,
} from '../support/fake-servers.ts';

const ack: ResponseBody = { type: 'ack' };
const queue: Handler = (_request, reply) => reply(ack);

test('lock: a waiting acquire is resent every quarter of its ttl, and told once that it is queued', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing({ acquire: queue }) });
  let queued = 0;
  const waiting = client.lock('files', { onQueued: () => queued++ });
  waiting.catch(() => {});
  // Longer than the timeout, which bounds an answer and not the wait.
  await pass(clock, 30_000, 5);
  const sent = servers.of('acquire');
  const gaps = sent.slice(2).map(({ at }, index) => at - (sent[index + 1]?.at ?? 0));
  t.true(sent.length >= 58 && sent.length <= 62, String(sent.length));
  t.true(gaps.every((gap) => gap >= 500 && gap <= 505));
  t.is(new Set(sent.map(({ request }) => request.sequence)).size, 1);
  t.is(queued, 1);
});

test('lock: the deadline of a lock waited for counts from one of the newest attempts', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      acquire: (request, reply) => reply(request.attempt < 100 ? ack : answer(5, 2_000, request.attempt - 1)),
    }),
  });
  const lock = await settled(clock, client.lock('files'));
  t.is(lock.deadline, (servers.of('acquire')[98]?.at ?? 0) + 2_000 * 0.995);
  // So old an attempt that its send time is forgotten: renewed first.
  t.is(servers.of('renew').length, 0);
});

test('lock: try asks not to wait, and is refused with code 2', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({ acquire: (_request, reply) => reply(noAnswer(2, 'lock-is-held')) }),
  });
  const error = await t.throwsAsync(settled(clock, client.lock('files', { try: true })), {
    instanceOf: RefusedError,
  });
  t.is((error as RefusedError).reason, 'lock-is-held');
  const { body } = servers.of('acquire')[0]?.request ?? {};
  t.like(body, { operation: { wait: false } });
});

test('lock: when waitMs is over it is cancelled in the log, whose word ends it', async (t) => {
  let cancelled = false;
  const { clock, servers, client } = scene({
    [A]: willing({
      acquire: (_request, reply) => reply(cancelled ? noAnswer(2, 'wait-cancelled') : ack),
      cancel: (_request, reply) => {
        cancelled = true;
        reply(answer());
      },
    }),
  });
  const error = await t.throwsAsync(settled(clock, client.lock('files', { waitMs: 1_000 })), {
    instanceOf: RefusedError,
  });
  t.is((error as RefusedError).code, 2);
  t.is((error as RefusedError).reason, 'wait-cancelled');
  t.is(servers.of('cancel').length, 1);
  t.true(
    (servers.of('cancel')[0]?.request.sequence ?? 0) > (servers.of('acquire')[0]?.request.sequence ?? 0),
  );
  t.is(servers.of('release').length, 0);
});

test('lock: a grant that beats the cancel is released at once', async (t) => {
  let cancelled = false;
  const { clock, servers, client } = scene({
    [A]: willing({
      acquire: (request, reply) => reply(cancelled ? answer(5, 2_000, request.attempt) : ack),
      cancel: (_request, reply) => {
        cancelled = true;
        reply(noAnswer(1, 'no-such-lock', 5));
      },
    }),
  });
  const error = await t.throwsAsync(settled(clock, client.lock('files', { waitMs: 1_000 })), {
    instanceOf: RefusedError,
  });
  t.is((error as RefusedError).reason, 'wait-cancelled');
  await pass(clock, 5);
  t.is(servers.of('release').length, 1);
  t.is(servers.of('renew').length, 0);
});

test('lock: a cancel is not sent before a server is known to have the acquire', async (t) => {
  let heard = false;
  const { clock, servers, client } = scene({
    [A]: willing({ acquire: (_request, reply) => (heard ? reply(ack) : undefined) }),
  });
  client.lock('files', { waitMs: 100 }).catch(() => {});
  await pass(clock, 2_000);
  t.is(servers.of('cancel').length, 0);
  heard = true;
  await pass(clock, 3_000);
  t.true(servers.of('cancel').length > 0);
});

test('lock: an aborted signal ends the wait with its reason', async (t) => {
  let cancelled = false;
  const { clock, client } = scene({
    [A]: willing({
      acquire: (_request, reply) => reply(cancelled ? noAnswer(2, 'wait-cancelled') : ack),
      cancel: (_request, reply) => {
        cancelled = true;
        reply(answer());
      },
    }),
  });
  const controller = new AbortController();
  const waiting = client.lock('files', { signal: controller.signal });
  await pass(clock, 700);
  controller.abort(new Error('enough'));
  await t.throwsAsync(settled(clock, waiting, 100), { message: 'enough' });
  await t.throwsAsync(client.lock('files', { signal: controller.signal }), { message: 'enough' });
});

test('lock: aborted before any server answered, it ends at once with nothing sent', async (t) => {
  const { clock, servers, client } = scene({});
  const controller = new AbortController();
  const waiting = client.lock('files', { signal: controller.signal });
  await pass(clock, 50);
  controller.abort(new Error('enough'));
  await t.throwsAsync(settled(clock, waiting, 1), { message: 'enough' });
  servers.handlers.set(A, willing());
  await pass(clock, 5_000, 5);
  t.is(servers.of('acquire').length, 0);
});

test('lock: a waiter that was not heard acquires again, with a new number', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      acquire: (request, reply) =>
        reply(request.sequence === 1 ? noAnswer(2, 'waiter-not-heard') : answer(8, 2_000, request.attempt)),
    }),
  });
  const lock = await settled(clock, client.lock('files'));
  t.is(lock.token, 8);
  t.deepEqual(
    servers.of('acquire').map(({ request }) => request.sequence),
    [1, 2],
  );
});

test('lock: a wait whose server falls silent ends after timeoutMs, and is taken back when it returns', async (t) => {
  let silent = false;
  let cancelled = false;
  const { clock, servers, client } = scene(
    {
      [A]: willing({
        acquire: (_request, reply) => {
          if (silent) return;
          reply(cancelled ? answer(5, 2_000, 0) : ack);
        },
        cancel: (_request, reply) => {
          if (silent) return;
          cancelled = true;
          reply(noAnswer(1, 'no-such-lock', 5));
        },
      }),
    },
    { timeoutMs: 2_000 },
  );
  const waiting = client.lock('files');
  await pass(clock, 1_000);
  silent = true;
  await t.throwsAsync(settled(clock, waiting), { instanceOf: UnknownOutcomeError });
  silent = false;
  await pass(clock, 2_500);
  // It had been granted before the cancel came, so it is released.
  t.is(servers.of('release').length, 1);
  await settled(clock, client.append('log', 'x'));
  const last = servers.of('append').at(-1)?.request;
  t.is(last?.answeredBelow, last?.sequence);
});

test('lock: no server at all: UnreachableError', async (t) => {
  const { clock, client } = scene({}, { timeoutMs: 300 });
  await t.throwsAsync(settled(clock, client.lock('files', { waitMs: 50 })), { instanceOf: UnreachableError });
});

test('locks: every lock() is an owner of its own', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing() });
  await settled(clock, Promise.all([client.lock('a'), client.lock('b')]));
  const owners = servers
    .of('acquire')
    .map(({ request: { body } }) => (body as never as { operation: { owner: number } }).operation.owner);
  t.deepEqual(owners, [1, 2]);
  await flush();
});
