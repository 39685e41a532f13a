// The client as a whole: what it asks for, what it opens and closes, and what its callers get.

import test from 'ava';
import { RefusedError, UnreachableError, UsageError } from '#core/base/errors.ts';
import { A, answer, noAnswer, pass, refused, scene, settled, willing } from '../support/fake-servers.ts';

test('Client: append opens a session once, and resolves to the offset', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({ append: (_request, reply) => reply(answer(7)) }),
  });
  t.deepEqual(await settled(clock, client.append('log', 'x')), { offset: 7 });
  t.deepEqual(await settled(clock, client.append('log', 'y')), { offset: 7 });
  t.is(servers.of('open-session').length, 1);
  t.deepEqual(
    servers.of('append').map(({ request }) => [request.session, request.sequence, request.answeredBelow]),
    [
      [1, 1, 1],
      [1, 2, 2],
    ],
  );
});

test('Client: reads, ping and lists open no session', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      'kv-get': (_request, reply) => reply({ type: 'kv-value', entry: null, revision: 3 }),
      'lock-list': (_request, reply) => reply({ type: 'locks', locks: [], more: false }),
    }),
  });
  t.is(await settled(clock, client.kv.get('k')), null);
  t.deepEqual(await settled(clock, client.locks.list()), []);
  t.deepEqual(await settled(clock, client.ping()), [
    { address: A, node: 'n1', roundTripMs: 2, problem: null },
  ]);
  t.is(servers.of('open-session').length, 0);
});

test('Client: a lock is held, appended under and released, in that order on the wire', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing() });
  const lock = await settled(clock, client.lock('files'));
  t.is(lock.token, 5);
  t.true(lock.held);
  const appending = client.append('file_7', 'hello\n', { lock });
  const releasing = lock.release();
  await settled(clock, Promise.all([appending, releasing]));
  t.false(lock.held);
  t.false(lock.signal.aborted);
  t.deepEqual(
    servers.sent.map(({ request }) =>
      request.body.type === 'operation' ? request.body.operation.type : request.body.type,
    ),
    ['open-session', 'acquire', 'append', 'release'],
  );
  await settled(clock, client.close());
  t.is(servers.of('close-session').length, 1);
  t.true(servers.closed);
  await t.throwsAsync(client.append('file_7', 'x'), { instanceOf: UsageError });
});

test('Client: no server answers: UnreachableError, since nothing was begun', async (t) => {
  const { clock, client } = scene({});
  const error = await t.throwsAsync(settled(clock, client.append('log', 'x')), {
    instanceOf: UnreachableError,
  });
  t.true((error as UnreachableError).definite);
  await t.throwsAsync(settled(clock, client.ping()), { instanceOf: UnreachableError });
  await settled(clock, client.close());
});

test('Client: a refusal carries code and reason, and says what was tried and what is so', async (t) => {
  const { clock, client } = scene({
    [A]: willing({ append: (_request, reply) => reply(noAnswer(2, 'token-not-current', 6)) }),
  });
  const error = await t.throwsAsync(
    settled(clock, client.append('file_7', 'x', { token: { lock: 'files', token: 5 } })),
    { instanceOf: RefusedError },
  );
  t.is((error as RefusedError).code, 2);
  t.is((error as RefusedError).reason, 'token-not-current');
  t.regex(
    (error as Error).message,
    /^Cannot append to "file_7": token 5 is no longer the holder of lock "files" \(token 6 is\)/,
  );
});

test('Client: a full disk is reported at once, as never begun', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({ append: (_request, reply) => reply(refused(5, 'disk-full')) }),
  });
  const error = await t.throwsAsync(settled(clock, client.append('log', 'x'), 100), {
    instanceOf: RefusedError,
  });
  t.is((error as RefusedError).code, 5);
  t.is(servers.of('append').length, 1);
});

test('Client: wrong arguments are refused with nothing sent', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing() });
  const wrong: (() => Promise<unknown>)[] = [
    () => client.append('../x', 'x'),
    () => client.append('', 'x'),
    () => client.append('a'.repeat(65), 'x'),
    () => client.append('log', ''),
    () => client.append('log', new Uint8Array(1_048_577)),
    () => client.append('log', 'x', { token: { lock: '.x', token: 1 } }),
    () => client.kv.put('a[b', 'x'),
    () => client.kv.put('', 'x'),
    () => client.kv.put('k'.repeat(129), 'x'),
    () => client.kv.put('k', 'é'.repeat(1_025)),
    () => client.kv.put('k', '\ud800'),
    () => client.lock('x', { ttlMs: 0 }),
    () => client.lock('x', { ttlMs: 3_600_001 }),
    () => client.lock('x', { waitMs: -1 }),
    () => client.read('log', { from: -1 }),
    () => client.logs.trim('log', 0.5),
  ];
  for (const call of wrong) {
    const error = await t.throwsAsync(async () => call(), { instanceOf: UsageError }, String(call));
    t.is((error as UsageError).code, 4);
  }
  await pass(clock, 10);
  t.is(servers.sent.length, 0);
  // The boundaries themselves are right.
  await settled(clock, client.append('a'.repeat(64), new Uint8Array(1_048_576)));
  await settled(clock, client.kv.put('k'.repeat(128), 'é'.repeat(1_024)));
});
