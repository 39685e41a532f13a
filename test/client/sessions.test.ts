// Sessions: opened when needed, kept alive, windows of 32, and what waiting acquires do to them.

import test from 'ava';
import { BrambleError, RefusedError, UnreachableError } from '#core/base/errors.ts';
import { KEEP_ALIVE_MS, SESSION_WINDOW } from '#core/base/limits.ts';
import {
  A,
  answer,
  type Handler,
  pass,
  refused,
  type Sent,
  scene,
  settled,
  willing,
} from '../support/fake-servers.ts';

const sequences = (sent: readonly Sent[]): number[] => [
  ...new Set(sent.map(({ request }) => request.sequence)),
];

test('Sessions: at most 32 requests are under way; the others wait for their place', async (t) => {
  const held: (() => void)[] = [];
  const { clock, servers, client } = scene({
    [A]: willing({
      append: (request, reply) => {
        if (request.attempt > 1) reply({ type: 'ack' });
        else held.push(() => reply(answer(request.sequence)));
      },
    }),
  });
  const all = Promise.all(Array.from({ length: 40 }, () => client.append('log', 'x')));
  await pass(clock, 10);
  t.is(sequences(servers.of('append')).length, SESSION_WINDOW);
  // The second is answered: the window does not move, for it counts from the oldest.
  held[1]?.();
  await pass(clock, 5);
  t.is(sequences(servers.of('append')).length, SESSION_WINDOW);
  held[0]?.();
  await pass(clock, 5);
  t.deepEqual(sequences(servers.of('append')).slice(SESSION_WINDOW), [33, 34]);
  const later = servers.of('append').find(({ request }) => request.sequence === 33);
  t.is(later?.request.answeredBelow, 3);
  const answering = (): void => {
    for (const release of held.splice(0)) release();
  };
  for (let turn = 0; turn < 5; turn++) {
    answering();
    await pass(clock, 5);
  }
  t.is((await settled(clock, all)).length, 40);
  t.is(servers.of('open-session').length, 1);
});

test('Sessions: an acquire that waits pins its window, so that another session is opened for what follows', async (t) => {
  const queue: Handler = (request, reply) => {
    const { body } = request;
    const waits =
      body.type === 'operation' && body.operation.type === 'acquire' && body.operation.lock === 'busy';
    reply(waits ? { type: 'ack' } : answer(5, 2_000, request.attempt));
  };
  const { clock, servers, client } = scene({ [A]: willing({ acquire: queue }) });
  const held = await settled(clock, client.lock('mine'));
  client.lock('busy').catch(() => {});
  await pass(clock, 5);
  for (let count = 0; count < 100; count++) await settled(clock, client.append('log', 'x'));
  const bySession = new Map<number, number>();
  for (const { request } of servers.of('append')) {
    bySession.set(request.session, (bySession.get(request.session) ?? 0) + 1);
  }
  t.is(servers.of('open-session').length, 2);
  // Kept in the first: the release of "mine", the cancel and the release of "busy"; used: two acquires, of which one is open.
  t.is(bySession.get(1), SESSION_WINDOW - 1 - 3);
  await settled(clock, held.release());
  t.is(servers.of('release')[0]?.request.session, 1);
});

test('Sessions: an extra session that is of no use any more is closed', async (t) => {
  let busy = true;
  const { clock, servers, client } = scene({
    [A]: willing({
      acquire: (request, reply) => reply(busy ? { type: 'ack' } : answer(5, 2_000, request.attempt)),
    }),
  });
  const waiting = client.lock('busy');
  await pass(clock, 5);
  for (let count = 0; count < 60; count++) await settled(clock, client.append('log', 'x'));
  t.is(servers.of('open-session').length, 2);
  busy = false;
  const lock = await settled(clock, waiting);
  await settled(clock, lock.release());
  await pass(clock, KEEP_ALIVE_MS + 100, 5);
  t.deepEqual(
    servers.of('close-session').map(({ request }) => request.session),
    [2],
  );
});

test('Sessions: a keep-alive goes out after 10 s of silence, and not before', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing() });
  await settled(clock, client.append('log', 'x'));
  await pass(clock, KEEP_ALIVE_MS - 100, 10);
  t.is(servers.of('keep-alive').length, 0);
  await settled(clock, client.append('log', 'y'));
  await pass(clock, KEEP_ALIVE_MS - 100, 10);
  t.is(servers.of('keep-alive').length, 0);
  await pass(clock, 200, 10);
  t.is(servers.of('keep-alive').length, 1);
  await pass(clock, 2 * KEEP_ALIVE_MS, 10);
  t.is(servers.of('keep-alive').length, 3);
});

test('Sessions: one that ended while nobody asked is told by its keep-alive, and the next request opens another', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({ 'keep-alive': (_request, reply) => reply(refused(7, 'session-unknown')) }),
  });
  const lock = await settled(clock, client.lock('files'));
  t.true(lock.held);
  servers.of('renew');
  await settled(clock, client.append('log', 'x'));
  await settled(clock, lock.release());
  await pass(clock, KEEP_ALIVE_MS + 100, 10);
  await settled(clock, client.append('log', 'y'));
  t.is(servers.of('open-session').length, 2);
  t.is(servers.of('append').at(-1)?.request.session, 2);
});

test('Sessions: an open whose answer is lost is repeated with the same nonce', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      'open-session': (request, reply) =>
        request.attempt < 3 ? undefined : reply({ type: 'opened', session: 9 }),
    }),
  });
  await settled(clock, client.append('log', 'x'));
  const nonces = servers
    .of('open-session')
    .map(({ request: { body } }) => (body as { nonce?: string }).nonce);
  t.is(nonces.length, 3);
  t.is(new Set(nonces).size, 1);
  t.regex(nonces[0] ?? '', /^[0-9a-f]{32}$/);
});

test('Sessions: refused for too many sessions, every waiting request is told', async (t) => {
  const { clock, client } = scene({
    [A]: willing({ 'open-session': (_request, reply) => reply(refused(4, 'too-many-sessions')) }),
  });
  const both: Promise<unknown>[] = [client.append('log', 'x'), client.kv.put('k', 'v')];
  for (const one of both) {
    const error = await t.throwsAsync(settled(clock, one), { instanceOf: RefusedError });
    t.is((error as RefusedError).reason, 'too-many-sessions');
  }
});

test('Sessions: what finds no place within the timeout was certainly not begun', async (t) => {
  const { clock, client } = scene(
    { [A]: willing({ append: (_request, reply) => reply({ type: 'ack' }) }) },
    { timeoutMs: 1_000 },
  );
  const first = Array.from({ length: SESSION_WINDOW }, () =>
    client.append('log', 'x').catch((error) => error),
  );
  const last = client.append('log', 'y').catch((error) => error);
  const error = await settled(clock, last);
  t.true(error instanceof UnreachableError && error.definite);
  for (const other of await settled(clock, Promise.all(first))) t.false((other as BrambleError).definite);
});

test('Sessions: close waits for what is under way, and does not wait for ever', async (t) => {
  let late: (() => void) | null = null;
  const { clock, servers, client } = scene({
    [A]: willing({
      append: (request, reply) => {
        if (request.attempt === 1) late = () => reply(answer(1));
        else reply({ type: 'ack' });
      },
      'close-session': () => {},
    }),
  });
  const appending = client.append('log', 'x');
  await pass(clock, 100);
  const closing = client.close();
  await pass(clock, 100);
  t.is(servers.of('close-session').length, 0);
  (late as unknown as () => void)();
  t.deepEqual(await settled(clock, appending), { offset: 1 });
  await settled(clock, closing);
  t.true(servers.of('close-session').length > 0);
  t.is(clock.timers, 0);
});

test('Sessions: closing a client ends its waits', async (t) => {
  const { clock, client } = scene({ [A]: willing({ acquire: (_request, reply) => reply({ type: 'ack' }) }) });
  const waiting = client.lock('files');
  const told = t.throwsAsync(waiting, { instanceOf: BrambleError });
  await pass(clock, 100);
  await settled(clock, client.close());
  await told;
});
