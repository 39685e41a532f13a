// Ping and status: every server is asked, and the answers are put together.

import test from 'ava';
import { UnreachableError } from '#core/base/errors.ts';
import { mergeStatus } from '#core/client/status.ts';
import type { MemberStatus, ServerStatus } from '#core/wire/client-messages.ts';
import { A, B, C, scene, settled, willing } from '../support/fake-servers.ts';

const member = (id: string, more: Partial<MemberStatus> = {}): MemberStatus => ({
  id,
  address: { n1: A, n2: B, n3: C }[id] ?? '',
  role: 'follower',
  voter: true,
  commitIndex: 10,
  appliedIndex: 10,
  durableIndex: 10,
  reachable: true,
  ...more,
});

const view = (node: string, more: Partial<ServerStatus> = {}): ServerStatus => ({
  node,
  version: '0.1.0',
  cluster: 'bramble',
  clusterId: '00',
  leader: 'n1',
  term: 5,
  members: [member('n1', { role: 'leader' }), member('n2'), member('n3')],
  health: 'ok',
  insecure: true,
  uptimeMs: 1,
  metrics: [],
  ...more,
});

test('ping: each server in the order given, those that are silent with a problem', async (t) => {
  const { clock, client } = scene(
    { [A]: willing(), [C]: willing() },
    { servers: [A, B, C], timeoutMs: 10_000 },
  );
  const started = clock.now();
  const pinged = await settled(clock, client.ping());
  t.deepEqual(
    pinged.map(({ address, node, roundTripMs }) => [address, node, roundTripMs]),
    [
      [A, 'n1', 2],
      [B, null, null],
      [C, 'n1', 2],
    ],
  );
  t.is(typeof pinged[1]?.problem, 'string');
  // Whoever is silent is not waited for much longer than those that answer.
  t.true(clock.now() - started < 2_000);
  const { clock: other, client: alone } = scene({}, { servers: [A, B], timeoutMs: 500 });
  await t.throwsAsync(settled(other, alone.ping()), {
    instanceOf: UnreachableError,
    message: /10\.0\.0\.1.*10\.0\.0\.2/,
  });
});

test('status: the newest term with its leader wins, and members are reachable as they answered', async (t) => {
  const { clock, servers, client } = scene(
    {
      [A]: willing({ status: (_request, reply) => reply({ type: 'status', status: view('n1') }) }),
      [B]: willing({
        status: (_request, reply) => reply({ type: 'status', status: view('n2', { term: 4, leader: 'n3' }) }),
      }),
    },
    { servers: [A, B, C] },
  );
  const status = await settled(clock, client.status());
  t.is(status.leader, 'n1');
  t.is(status.term, 5);
  t.deepEqual(
    status.members.map(({ id, reachable }) => [id, reachable]),
    [
      ['n1', true],
      ['n2', true],
      ['n3', false],
    ],
  );
  t.is(status.servers.length, 3);
  t.is(servers.of('open-session').length, 0);
});

test('mergeStatus: a leader knows itself best; nobody knowing a leader gives null', (t) => {
  const follower = view('n2', { members: [member('n1', { commitIndex: 3 })] });
  const leader = view('n1', { members: [member('n1', { role: 'leader', commitIndex: 9 })] });
  for (const order of [
    [follower, leader],
    [leader, follower],
  ]) {
    const merged = mergeStatus(order.map((status) => ({ address: A, status, problem: null })));
    t.is(merged.members[0]?.commitIndex, 9);
  }
  const lost = mergeStatus([
    { address: A, status: null, problem: 'no answer' },
    { address: B, status: view('n2', { leader: null, term: 7 }), problem: null },
  ]);
  t.is(lost.leader, null);
  t.is(lost.term, 7);
});
