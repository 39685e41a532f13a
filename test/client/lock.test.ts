// A held lock: its deadline, its renewals, its loss and its release.

import test from 'ava';
import { LockLostError, RefusedError, UnknownOutcomeError, UsageError } from '#core/base/errors.ts';
import { CLOCK_DRIFT_MAX } from '#core/base/limits.ts';
import type { Client } from '#core/client/client.ts';
import type { LockHandle } from '#core/client/lock.ts';
import type { LockOptions } from '#core/client/locks.ts';
import type { ResponseBody } from '#core/wire/client-messages.ts';
import {
  A,
  answer,
  flush,
  noAnswer,
  pass,
  refused,
  scene,
  settled,
  willing,
} from '../support/fake-servers.ts';
import type { ManualClock } from '../support/manual-clock.ts';

const SHARE = 1 - CLOCK_DRIFT_MAX;
const hold = (clock: ManualClock, client: Client, options?: LockOptions): Promise<LockHandle> =>
  settled(clock, client.lock('files', options));
const renewed = (confirmedAttempt: number): ResponseBody => ({
  type: 'renewed',
  ttlMs: 2_000,
  confirmedAttempt,
});

test('LockHandle: the deadline counts from the send time of the attempt that the grant names', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      // The first attempt is lost; the grant names the second, which was the first that the leader saw.
      acquire: (request, reply) => (request.attempt === 1 ? undefined : reply(answer(5, 2_000, 2))),
    }),
  });
  const lock = await hold(clock, client);
  const second = servers.of('acquire')[1];
  t.is(lock.deadline, (second?.at ?? 0) + 2_000 * SHARE);
  t.true(lock.held);
});

test('LockHandle: a grant whose first attempt arrived counts from the first, however late the answer is', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      acquire: (request, reply) => (request.attempt < 3 ? undefined : reply(answer(5, 2_000, 1))),
    }),
  });
  const lock = await hold(clock, client);
  t.is(lock.deadline, (servers.of('acquire')[0]?.at ?? 0) + 2_000 * SHARE);
});

test('LockHandle: a grant that names no attempt is renewed before the caller gets the lock', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({ acquire: (_request, reply) => reply(answer(5, 2_000, 0)) }),
  });
  const lock = await hold(clock, client);
  t.is(servers.of('renew').length, 1);
  t.is(lock.deadline, (servers.of('renew')[0]?.at ?? 0) + 2_000 * SHARE);
});

test('LockHandle: a grant that arrives near or past its deadline is renewed first, and acquired again if refused', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      acquire: (request, reply) => {
        if (request.sequence > 1) reply(answer(6, 2_000, request.attempt));
        else if (request.attempt > 1) reply({ type: 'ack' });
        else clock.after(1_980, () => reply(answer(5, 2_000, 1)));
      },
      renew: (request, reply) => {
        const { body } = request;
        if (body.type === 'renew' && body.token === 5) reply(refused(2, 'token-not-current'));
      },
    }),
  });
  const lock = await hold(clock, client);
  t.is(lock.token, 6);
  t.is(servers.of('renew').length, 1);
  t.deepEqual([...new Set(servers.of('acquire').map(({ request }) => request.sequence))], [1, 2]);
});

test('LockHandle: renews every quarter of its ttl, and each renewal moves the deadline', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing() });
  const lock = await hold(clock, client);
  const acquiredAt = servers.of('acquire')[0]?.at ?? 0;
  const deadlines: number[] = [];
  lock.onRenewed((deadline) => deadlines.push(deadline));
  await pass(clock, 2_600);
  const sent = servers.of('renew').map(({ at }) => at);
  t.deepEqual(
    sent.map((at) => at - acquiredAt),
    [500, 1_000, 1_500, 2_000, 2_500],
  );
  t.deepEqual(
    deadlines,
    sent.map((at) => at + 2_000 * SHARE),
  );
  t.true(lock.held);
});

test('LockHandle: a renewal is resent by the timer, and the attempt that is confirmed counts', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      // Answers the third transmission, confirming that the second had arrived before the round.
      renew: (request, reply) => (request.attempt === 3 ? reply(renewed(2)) : undefined),
    }),
  });
  const lock = await hold(clock, client);
  await pass(clock, 600);
  const sent = servers.of('renew').filter(({ request }) => request.attempt <= 3);
  t.is(sent.length, 3);
  t.is(lock.deadline, (sent[1]?.at ?? 0) + 2_000 * SHARE);
});

test('LockHandle: without a confirmed renewal it is lost at its deadline, told by signal, and given back', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing({ renew: () => {} }) });
  const lock = await hold(clock, client);
  const { deadline } = lock;
  let abortedAt = 0;
  lock.signal.addEventListener('abort', () => {
    abortedAt = clock.now();
  });
  clock.advance(deadline - clock.now() - 0.001);
  t.true(lock.held);
  await flush();
  await pass(clock, 10);
  t.false(lock.held);
  t.is(abortedAt, deadline);
  t.true(lock.signal.reason instanceof LockLostError);
  t.is(servers.of('release').length, 1);
  await t.throwsAsync(client.append('log', 'x', { lock }), { instanceOf: LockLostError });
  t.is(servers.of('append').length, 0);
});

test('LockHandle: a deadline that passed while the process was stopped is noticed by the next use', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing() });
  const lock = await hold(clock, client);
  // A clock that jumps: no timer has run yet when the caller goes on.
  const { now } = clock;
  clock.now = () => now.call(clock) + 5_000;
  t.false(lock.held);
  t.is(lock.remainingMs, 0);
  await t.throwsAsync(client.append('log', 'x', { lock }), { instanceOf: LockLostError });
  t.true(lock.signal.aborted);
  t.is(servers.of('append').length, 0);
});

for (const code of [2, 7] as const) {
  test(`LockHandle: a renewal refused with code ${code} is the loss of the lock`, async (t) => {
    const reason = code === 2 ? 'token-not-current' : 'session-unknown';
    const { clock, servers, client } = scene({
      [A]: willing({ renew: (_request, reply) => reply(refused(code, reason)) }),
    });
    const lock = await hold(clock, client);
    await pass(clock, 510);
    t.true(lock.signal.aborted);
    t.false(lock.held);
    t.is(servers.of('release').length, 0);
    await t.throwsAsync(lock.release(), { instanceOf: LockLostError });
    // Once told, disposal does not tell it again.
    await lock[Symbol.asyncDispose]();
  });
}

test('LockHandle: a renewal refused with code 5 is tried again', async (t) => {
  let busy = true;
  const { clock, client } = scene({
    [A]: willing({
      renew: (request, reply) => reply(busy ? refused(5, 'no-leader') : renewed(request.attempt)),
    }),
  });
  const lock = await hold(clock, client);
  await pass(clock, 1_200);
  t.true(lock.held);
  busy = false;
  await pass(clock, 2_000);
  t.true(lock.held);
});

test('LockHandle: autoRenew false: nothing is renewed, and it ends at its deadline', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing() });
  const lock = await hold(clock, client, { autoRenew: false });
  await pass(clock, 1_980);
  t.true(lock.held);
  await pass(clock, 20);
  t.true(lock.signal.aborted);
  t.is(servers.of('renew').length, 0);
});

test('LockHandle: an append refused for its token is the loss of the lock', async (t) => {
  const { clock, client } = scene({
    [A]: willing({ append: (_request, reply) => reply(noAnswer(2, 'token-not-current', 6)) }),
  });
  const lock = await hold(clock, client);
  await t.throwsAsync(settled(clock, client.append('log', 'x', { lock })), { instanceOf: RefusedError });
  t.true(lock.signal.aborted);
  await t.throwsAsync(client.append('log', 'y', { lock }), { instanceOf: LockLostError });
});

test('LockHandle: release waits for the appends under it, renewing meanwhile', async (t) => {
  let reply: ((body: ResponseBody) => void) | null = null;
  const { clock, servers, client } = scene({
    [A]: willing({
      append: (_request, answerLater) => {
        reply = answerLater;
        answerLater({ type: 'ack' });
      },
    }),
  });
  const lock = await hold(clock, client);
  const appending = client.append('log', 'x', { lock });
  await pass(clock, 5);
  const releasing = lock.release();
  t.is(lock.release(), releasing);
  t.false(lock.held);
  await t.throwsAsync(client.append('log', 'y', { lock }), { instanceOf: UsageError });
  await pass(clock, 3_000);
  t.is(servers.of('release').length, 0);
  t.true(servers.of('renew').length >= 5);
  (reply as unknown as (body: ResponseBody) => void)(answer(1));
  await settled(clock, Promise.all([appending, releasing]));
  t.is(servers.of('release').length, 1);
  const renewals = servers.of('renew').length;
  await pass(clock, 3_000);
  t.is(servers.of('renew').length, renewals);
  t.false(lock.signal.aborted);
  await lock.release();
  t.is(servers.of('release').length, 1);
});

test('LockHandle: a release that the server refuses is a loss', async (t) => {
  const { clock, client } = scene({
    [A]: willing({ release: (_request, reply) => reply(noAnswer(2, 'token-not-current', 9)) }),
  });
  const lock = await hold(clock, client);
  const error = await t.throwsAsync(settled(clock, lock.release()), { instanceOf: LockLostError });
  t.regex((error as Error).message, /token 5 is no longer the holder of lock "files" \(token 9 is\)/);
  await lock.release();
});

test('LockHandle: a release without an answer is an unknown outcome, and the lock is not held', async (t) => {
  const { clock, client } = scene({ [A]: willing({ release: () => {} }) }, { timeoutMs: 500 });
  const lock = await hold(clock, client);
  await t.throwsAsync(settled(clock, lock.release()), { instanceOf: UnknownOutcomeError });
  t.false(lock.held);
});

test('LockHandle: entered again with the same owner; each entry needs its release', async (t) => {
  let depth = 0;
  const { clock, servers, client } = scene({
    [A]: willing({
      acquire: (request, reply) => {
        depth++;
        reply(answer(5, 2_000, request.attempt));
      },
      release: (_request, reply) => reply(answer(--depth)),
    }),
  });
  const lock = await hold(clock, client);
  t.is(await settled(clock, lock.reenter({ shared: true })), lock);
  t.is(lock.depth, 2);
  const owners = servers
    .of('acquire')
    .map(({ request: { body } }) =>
      body.type === 'operation' && body.operation.type === 'acquire'
        ? [body.operation.owner, body.operation.mode]
        : null,
    );
  t.deepEqual(owners, [
    [1, 'exclusive'],
    [1, 'shared'],
  ]);
  await settled(clock, lock.release());
  t.true(lock.held);
  t.is(lock.depth, 1);
  await settled(clock, lock[Symbol.asyncDispose]());
  t.false(lock.held);
  t.is(depth, 0);
  await t.throwsAsync(lock.reenter(), { instanceOf: UsageError });
});

test('LockHandle: a re-entry that is granted another token means that the lock was lost', async (t) => {
  let token = 4;
  const { clock, servers, client } = scene({
    [A]: willing({ acquire: (request, reply) => reply(answer(++token, 2_000, request.attempt)) }),
  });
  const lock = await hold(clock, client);
  await t.throwsAsync(settled(clock, lock.reenter()), { instanceOf: LockLostError });
  t.true(lock.signal.aborted);
  await pass(clock, 5);
  const released = servers
    .of('release')
    .map(({ request: { body } }) => (body as never as { operation: { token: number } }).operation.token);
  t.deepEqual(released, [6]);
});

test('LockHandle: closing the client ends it without a loss', async (t) => {
  const { clock, client } = scene({ [A]: willing() });
  const lock = await hold(clock, client);
  await settled(clock, client.close());
  t.false(lock.held);
  t.true(lock.signal.aborted);
  await lock[Symbol.asyncDispose]();
  t.is(clock.timers, 0);
});
