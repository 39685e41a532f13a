// One request's life: when it is sent again, to whom, and what its end means.

import test from 'ava';
import { type BrambleError, RefusedError, UnknownOutcomeError, UnreachableError } from '#core/base/errors.ts';
import { encodeResponse } from '#core/wire/client-codec.ts';
import {
  A,
  answer,
  B,
  C,
  flush,
  noAnswer,
  pass,
  refused,
  scene,
  settled,
  willing,
} from '../support/fake-servers.ts';

const gaps = (sent: readonly { at: number }[]): number[] =>
  sent.slice(1).map(({ at }, index) => at - (sent[index] as { at: number }).at);

test('Exchange: a silent request is sent again with the next attempt, at doubling intervals', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      append: (request, reply) => {
        if (request.attempt === 4) reply(answer(1));
      },
    }),
  });
  await settled(clock, client.append('log', 'x'));
  const sent = servers.of('append');
  t.deepEqual(
    sent.map(({ request }) => [request.attempt, request.sequence]),
    [1, 2, 3, 4].map((attempt) => [attempt, 1]),
  );
  t.is(new Set(sent.map(({ request }) => request.request)).size, 1);
  const [first, second, third] = gaps(sent) as [number, number, number];
  // The round trip is 2 ms, so the timeout is its floor of 20 ms, with up to a tenth of jitter.
  for (const [gap, timeout] of [
    [first, 20],
    [second, 40],
    [third, 80],
  ] as const) {
    t.true(gap >= timeout && gap <= timeout * 1.1, `${gap} ms where ${timeout} are due`);
  }
});

test('Exchange: an ACK is answered with patience', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      append: (request, reply) => reply(request.attempt < 3 ? { type: 'ack' } : answer(1)),
    }),
  });
  await settled(clock, client.append('log', 'x'));
  for (const gap of gaps(servers.of('append'))) t.true(gap >= 80 && gap <= 92, `${gap} ms`);
});

test('Exchange: an answer to an earlier attempt is taken, of a number never sent or a wrong type is not', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing({ append: () => {} }) });
  const appending = client.append('log', 'x');
  await pass(clock, 100);
  const sent = servers.of('append');
  t.true(sent.length >= 3);
  const [first] = sent as [(typeof sent)[0]];
  servers.respond(first, answer(9), 99);
  servers.respond(first, answer(9), 0);
  servers.respond(first, { type: 'pong', node: 'n1' });
  servers.deliver(encodeResponse({ request: 12_345, attempt: 1, body: answer(9) }), A);
  servers.deliver(new Uint8Array([1, 2, 3]), A);
  await pass(clock, 5);
  servers.respond(first, answer(4));
  t.deepEqual(await settled(clock, appending), { offset: 4 });
});

test('Exchange: two silences put the boot in doubt, the third goes to the next server', async (t) => {
  const { clock, servers, client } = scene(
    {
      [A]: willing({ append: (request, reply) => (request.sequence === 1 ? reply(answer(1)) : undefined) }),
      [B]: willing({ append: (_request, reply) => reply(answer(2)) }),
    },
    { servers: [A, B] },
  );
  await settled(clock, client.append('log', 'x'));
  t.deepEqual(await settled(clock, client.append('log', 'y')), { offset: 2 });
  t.deepEqual(
    servers.of('append').map(({ to }) => to),
    [A, A, A, A, B],
  );
  t.deepEqual([...new Set(servers.suspected)], [A]);
  // The server that answered is the one to ask from now on.
  await settled(clock, client.append('log', 'z'));
  t.is(servers.of('append').at(-1)?.to, B);
});

test('Exchange: not-leader goes to the leader at once, with the same sequence', async (t) => {
  const { clock, servers, client } = scene(
    {
      [A]: willing({ append: (_request, reply) => reply(refused(5, 'not-leader', C)) }),
      [C]: willing(),
    },
    { servers: [A, B, C] },
  );
  await settled(clock, client.append('log', 'x'));
  const sent = servers.of('append');
  t.deepEqual(
    sent.map(({ to, request }) => [to, request.attempt, request.sequence]),
    [
      [A, 1, 1],
      [C, 2, 1],
    ],
  );
  t.deepEqual(gaps(sent), [2]);
});

test('Exchange: servers that name each other as leader are asked with pauses', async (t) => {
  const { clock, servers, client } = scene(
    {
      [A]: willing({ append: (_request, reply) => reply(refused(5, 'not-leader', B)) }),
      [B]: willing({ append: (_request, reply) => reply(refused(5, 'not-leader', A)) }),
    },
    { servers: [A, B], timeoutMs: 3_000 },
  );
  const error = await t.throwsAsync(settled(clock, client.append('log', 'x')), {
    instanceOf: UnreachableError,
  });
  t.regex((error as Error).message, /no server that answered is the leader.*nothing was begun/s);
  t.true(servers.of('append').length < 100);
});

test('Exchange: no-leader is asked again until the time is over; refused each time, nothing was begun', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({ append: (_request, reply) => reply(refused(5, 'no-leader')) }),
  });
  const error = await t.throwsAsync(settled(clock, client.append('log', 'x')), {
    instanceOf: UnreachableError,
  });
  t.true((error as BrambleError).definite);
  t.true(servers.of('append').length > 10);
  t.is(new Set(servers.of('append').map(({ request }) => request.sequence)).size, 1);
});

test('Exchange: a refusal does not speak for an attempt that was not answered', async (t) => {
  const { clock, client } = scene({
    [A]: willing({
      // The first may lie in the log of a leader that is cut off; whoever answers now does not know of it.
      append: (request, reply) => (request.attempt === 1 ? undefined : reply(refused(5, 'disk-full'))),
    }),
  });
  const error = await t.throwsAsync(settled(clock, client.append('log', 'x')), {
    instanceOf: UnknownOutcomeError,
  });
  t.false((error as BrambleError).definite);
});

test('Exchange: no answer to a numbered request is an unknown outcome', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing({ append: () => {} }) }, { timeoutMs: 1_000 });
  const started = clock.now();
  const error = await t.throwsAsync(settled(clock, client.append('log', 'x')), {
    instanceOf: UnknownOutcomeError,
  });
  t.regex(
    (error as Error).message,
    /^Cannot append to "log": no answer within 1000 ms \(\d+ attempts, the last to /,
  );
  t.true(clock.now() - started <= 1_001);
  // Given up: the server need not keep it, and drops it if it comes late.
  await pass(clock, 1);
  client.append('log', 'y').catch(() => {});
  await pass(clock, 5);
  t.is(servers.of('append').at(-1)?.request.answeredBelow, 2);
});

test('Exchange: an unanswered read is definite: nothing was begun', async (t) => {
  const { clock, client } = scene({ [A]: willing({ 'kv-get': () => {} }) }, { timeoutMs: 500 });
  await t.throwsAsync(settled(clock, client.kv.get('k')), { instanceOf: UnreachableError });
});

test('Exchange: a message that is still being transferred is not sent again', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing({ append: () => {} }) });
  servers.slowFromBytes = 100_000;
  const appending = client.append('log', new Uint8Array(200_000));
  appending.catch(() => {});
  await pass(clock, 1_000);
  t.is(servers.of('append').length, 1);
  servers.slow.shift()?.();
  // It took a second to deliver, so it is not sent again before another is over.
  await pass(clock, 900);
  t.is(servers.of('append').length, 1);
  await pass(clock, 200);
  t.is(servers.of('append').length, 2);
});

test('Exchange: a transfer that never ends is given up for lost', async (t) => {
  const { clock, servers, client } = scene({ [A]: willing({ append: () => {} }) });
  servers.slowFromBytes = 100_000;
  client.append('log', new Uint8Array(200_000)).catch(() => {});
  await pass(clock, 4_000);
  t.is(servers.of('append').length, 2);
});

test('Exchange: code 7 as the first answer is definite, and the next request opens a new session', async (t) => {
  let ended = true;
  const { clock, servers, client } = scene({
    [A]: willing({ append: (_request, reply) => reply(ended ? refused(7, 'session-unknown') : answer(1)) }),
  });
  const error = await t.throwsAsync(settled(clock, client.append('log', 'x')), { instanceOf: RefusedError });
  t.is((error as RefusedError).code, 7);
  ended = false;
  await settled(clock, client.append('log', 'y'));
  t.deepEqual(
    servers.of('append').map(({ request }) => [request.session, request.sequence]),
    [
      [1, 1],
      [2, 1],
    ],
  );
});

test('Exchange: code 7 leaves what else was outstanding unknown, and none of it is sent in another session', async (t) => {
  const { clock, servers, client } = scene({
    [A]: willing({
      append: (request, reply) => (request.session === 1 ? undefined : reply(answer(1))),
      'kv-put': (_request, reply) => reply(refused(7, 'session-unknown')),
    }),
  });
  const appending = client.append('log', 'x');
  await pass(clock, 10);
  const putting = client.kv.put('k', 'v');
  await t.throwsAsync(settled(clock, putting), { instanceOf: RefusedError });
  await t.throwsAsync(settled(clock, appending), { instanceOf: UnknownOutcomeError });
  await pass(clock, 1_000);
  t.true(servers.of('append').every(({ request }) => request.session === 1));
});

test('Exchange: code 7 after an earlier attempt may have been begun is an unknown outcome', async (t) => {
  const { clock, client } = scene({
    [A]: willing({
      append: (request, reply) => (request.attempt === 1 ? undefined : reply(noAnswer(7, 'session-unknown'))),
    }),
  });
  await t.throwsAsync(settled(clock, client.append('log', 'x')), { instanceOf: UnknownOutcomeError });
  await flush();
});
