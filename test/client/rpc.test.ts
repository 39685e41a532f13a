// The coursework's calls, in both profiles: their codes, and the coursework's times to the millisecond.

import test from 'ava';
import { UnknownOutcomeError, UnreachableError } from '#core/base/errors.ts';
import {
  COURSEWORK_ACK_PAUSE_MS,
  COURSEWORK_RESEND_MS,
  COURSEWORK_TRIES,
  KEEP_ALIVE_MS,
} from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import { RpcCalls, type RpcProfile } from '#core/client/rpc.ts';
import {
  A,
  answer,
  FakeServers,
  type Handler,
  noAnswer,
  pass,
  refused,
  settled,
  willing,
} from '../support/fake-servers.ts';
import { ManualClock } from '../support/manual-clock.ts';

function connection(handler: Handler | null, profile: RpcProfile = 'coursework') {
  const clock = new ManualClock();
  const servers = new FakeServers(clock);
  if (handler !== null) servers.handlers.set(A, handler);
  const opened: unknown[][] = [];
  const rpc = new RpcCalls(
    {
      clock,
      entropy: new Prng(1),
      open: async (...args) => {
        opened.push(args);
        return { endpoint: servers, server: A };
      },
    },
    profile,
  );
  return { clock, servers, rpc, opened };
}

/** The server's side of the lock: token 5, one holder, as the state machine has it. */
function lockServer(overrides: Parameters<typeof willing>[0] = {}): Handler {
  let depth = 0;
  const holds = (token: number): boolean => depth > 0 && token === 5;
  return willing({
    acquire: (request, reply) => {
      depth++;
      reply(answer(5, 2_000, request.attempt));
    },
    append: ({ body }, reply) => {
      if (body.type !== 'operation' || body.operation.type !== 'append') return;
      const { log, fence } = body.operation;
      if (!/^file_\d\d?$/.test(log)) return reply(noAnswer(1, 'no-such-log'));
      if (fence === null) return reply(noAnswer(2, 'token-required', depth > 0 ? 5 : 0));
      reply(holds(fence.token) ? answer(0) : noAnswer(2, 'token-not-current', 0));
    },
    release: ({ body }, reply) => {
      if (body.type !== 'operation' || body.operation.type !== 'release') return;
      if (!holds(body.operation.token)) return reply(noAnswer(2, 'token-not-current', 0));
      reply(answer(--depth));
    },
    ...overrides,
  });
}

for (const profile of ['coursework', 'default'] as const) {
  test(`rpc, ${profile}: init, acquire, append, release, close, each with its code`, async (t) => {
    const { clock, servers, rpc, opened } = connection(lockServer(), profile);
    t.is(await settled(clock, rpc.init(0, 7_700, 'host')), 0);
    t.is(rpc.message, 'Connected!');
    t.deepEqual(opened, [[0, 7_700, 'host']]);
    t.is(await settled(clock, rpc.append('file_1', 'x')), 2);
    t.is(await settled(clock, rpc.release()), 2);
    t.is(await settled(clock, rpc.acquire()), 0);
    t.is(await settled(clock, rpc.append('file_99', 'x')), 0);
    t.is(await settled(clock, rpc.append('file_100', 'x')), 1);
    t.is(await settled(clock, rpc.append('file_1', new Uint8Array(1_048_577))), 4);
    t.is(await settled(clock, rpc.acquire()), 0);
    t.is(await settled(clock, rpc.release()), 0);
    t.is(await settled(clock, rpc.append('file_1', 'x')), 0);
    t.is(await settled(clock, rpc.release()), 0);
    t.is(await settled(clock, rpc.append('file_1', 'x')), 2);
    t.is(await settled(clock, rpc.close()), 0);
    t.is(rpc.message, 'Disconnected!');
    t.true(servers.closed);
    await t.throwsAsync(rpc.acquire(), { message: /call RPC_init first/ });
  });

  test(`rpc, ${profile}: a call waits until the one before has ended`, async (t) => {
    const { clock, servers, rpc } = connection(lockServer(), profile);
    const codes = Promise.all([
      rpc.init(0, 7_700, 'host'),
      rpc.acquire(),
      rpc.append('file_1', 'x'),
      rpc.release(),
      rpc.close(),
    ]);
    t.deepEqual(await settled(clock, codes), [0, 0, 0, 0, 0]);
    const operations = servers.sent.flatMap(({ request: { body } }) =>
      body.type === 'operation' ? [body.operation.type] : [],
    );
    t.deepEqual(operations, ['acquire', 'append', 'release', 'close-session']);
  });
}

test('rpc, coursework: no answer: five transmissions two seconds apart, then an error that says so', async (t) => {
  const { clock, servers, rpc } = connection(lockServer({ append: () => {} }));
  await settled(clock, rpc.init(0, 7_700, 'host'));
  await settled(clock, rpc.acquire());
  const started = clock.now();
  const error = await t.throwsAsync(settled(clock, rpc.append('file_1', 'x')), {
    instanceOf: UnknownOutcomeError,
  });
  t.is((error as Error).message.includes(`5 attempts, the last to ${A}`), true, (error as Error).message);
  t.regex((error as Error).message, /^Cannot append to "file_1": no answer/);
  t.deepEqual(
    servers.of('append').map(({ at }) => at - started),
    Array.from({ length: COURSEWORK_TRIES }, (_, index) => index * COURSEWORK_RESEND_MS),
  );
  t.is(clock.now() - started, COURSEWORK_TRIES * COURSEWORK_RESEND_MS);
});

test('rpc, coursework: init without a server is an error after five tries, and may be tried again', async (t) => {
  const { clock, servers, rpc } = connection(null);
  const error = await t.throwsAsync(settled(clock, rpc.init(0, 7_700, 'host')), {
    instanceOf: UnreachableError,
  });
  t.regex((error as Error).message, /^Cannot connect: no answer \(5 attempts/);
  t.true(servers.closed);
  t.is(clock.timers, 0);
  servers.closed = false;
  servers.handlers.set(A, lockServer());
  t.is(await settled(clock, rpc.init(0, 7_700, 'host')), 0);
});

test('rpc, coursework: an ACK pauses one second, and the count of tries starts again', async (t) => {
  let acks = 0;
  const { clock, servers, rpc } = connection(
    lockServer({
      acquire: (request, reply) => {
        // Three silent tries, an ACK, four silent tries, an ACK, then the grant.
        if (request.attempt === 4 || request.attempt === 9) {
          acks++;
          reply({ type: 'ack' });
        } else if (request.attempt === 10) reply(answer(5, 2_000, 9));
      },
    }),
  );
  await settled(clock, rpc.init(0, 7_700, 'host'));
  t.is(await settled(clock, rpc.acquire()), 0);
  t.is(acks, 2);
  const sent = servers.of('acquire').map(({ at }) => at);
  const gaps = sent.slice(1).map((at, index) => at - (sent[index] ?? 0));
  // An ACK takes 2 ms to arrive, and the pause begins then.
  const pause = 2 + COURSEWORK_ACK_PAUSE_MS;
  t.deepEqual(gaps, [2_000, 2_000, 2_000, pause, 2_000, 2_000, 2_000, 2_000, pause]);
});

test('rpc, coursework: the lease is 2 s, not renewed, and without a deadline of its own', async (t) => {
  const { clock, servers, rpc } = connection(lockServer());
  await settled(clock, rpc.init(0, 7_700, 'host'));
  await settled(clock, rpc.acquire());
  t.like(servers.of('open-session')[0]?.request.body, { profile: 'coursework' });
  t.like(servers.of('acquire')[0]?.request.body, {
    operation: { ttlMs: 2_000, resendMs: 2_000, owner: 1, lock: 'files' },
  });
  await pass(clock, 8_000, 10);
  t.is(servers.of('renew').length, 0);
  // Nobody else waited: the server still accepts.
  t.is(await settled(clock, rpc.append('file_1', 'x')), 0);
  t.is(await settled(clock, rpc.release()), 0);
});

test('rpc, coursework: told that the lock is gone, it can acquire again', async (t) => {
  let lost = true;
  const { clock, rpc } = connection(
    lockServer({
      append: (_request, reply) => reply(lost ? noAnswer(2, 'token-not-current', 6) : answer(1)),
      release: (_request, reply) => reply(lost ? noAnswer(2, 'token-not-current', 6) : answer(0)),
    }),
  );
  await settled(clock, rpc.init(0, 7_700, 'host'));
  await settled(clock, rpc.acquire());
  t.is(await settled(clock, rpc.append('file_1', 'x')), 2);
  t.regex(rpc.message, /token 5 is no longer the holder of lock "files" \(token 6 is\)/);
  t.is(await settled(clock, rpc.release()), 2);
  lost = false;
  t.is(await settled(clock, rpc.acquire()), 0);
  t.is(await settled(clock, rpc.append('file_1', 'x')), 0);
});

test('rpc, coursework: an idle connection keeps its session alive; one that ended is code 7, then a new one', async (t) => {
  let ended = false;
  const { clock, servers, rpc } = connection(
    lockServer({
      acquire: (request, reply) =>
        reply(ended ? refused(7, 'session-unknown') : answer(5, 2_000, request.attempt)),
    }),
  );
  await settled(clock, rpc.init(0, 7_700, 'host'));
  await pass(clock, 2 * KEEP_ALIVE_MS + 100, 10);
  t.is(servers.of('keep-alive').length, 2);
  ended = true;
  t.is(await settled(clock, rpc.acquire()), 7);
  ended = false;
  t.is(await settled(clock, rpc.acquire()), 0);
  t.is(servers.of('open-session').length, 2);
});

test('rpc, coursework: code 5 is reported at once, a passed-over waiter queues again by itself', async (t) => {
  const { clock, servers, rpc } = connection(
    lockServer({
      acquire: (request, reply) =>
        reply(request.sequence === 1 ? noAnswer(2, 'waiter-not-heard') : answer(5, 2_000, 1)),
      append: (_request, reply) => reply(refused(5, 'disk-full')),
    }),
  );
  await settled(clock, rpc.init(0, 7_700, 'host'));
  t.is(await settled(clock, rpc.acquire()), 0);
  t.is(servers.of('acquire').length, 2);
  t.is(await settled(clock, rpc.append('file_1', 'x')), 5);
  t.is(servers.of('append').length, 1);
});

test('rpc, coursework: close closes the socket also when nobody answers, and says so', async (t) => {
  const { clock, servers, rpc } = connection(lockServer({ 'close-session': () => {} }));
  await settled(clock, rpc.init(0, 7_700, 'host'));
  await t.throwsAsync(settled(clock, rpc.close()), { message: /^Cannot disconnect: no answer \(5 attempts/ });
  t.true(servers.closed);
  await pass(clock, 5);
  t.is(clock.timers, 0);
});

test('rpc, default: renews, and a lock lost is code 2 until it is acquired again', async (t) => {
  let deaf = false;
  let token = 4;
  const { clock, servers, rpc } = connection(
    willing({
      acquire: (request, reply) => reply(answer(++token, 2_000, request.attempt)),
      renew: (request, reply) => {
        if (!deaf) reply({ type: 'renewed', ttlMs: 2_000, confirmedAttempt: request.attempt });
      },
    }),
    'default',
  );
  await settled(clock, rpc.init(0, 7_700, 'host'));
  await settled(clock, rpc.acquire());
  await pass(clock, 5_000, 2);
  t.is(await settled(clock, rpc.append('file_1', 'x')), 0);
  t.true(servers.of('renew').length >= 9);
  deaf = true;
  await pass(clock, 2_500, 2);
  t.is(await settled(clock, rpc.append('file_1', 'x')), 2);
  t.is(await settled(clock, rpc.release()), 2);
  deaf = false;
  t.is(await settled(clock, rpc.acquire()), 0);
  t.is(await settled(clock, rpc.append('file_1', 'x')), 0);
});
