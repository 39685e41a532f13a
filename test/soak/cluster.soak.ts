// Clusters of real server processes: leaders that are killed, stopped and wiped, members that come and go, under work.

import test from 'ava';
import { Cluster, startWorkload } from '../support/cluster.ts';
import { eventually } from '../support/processes.ts';
import { scale } from '../support/scale.ts';

test.serial('three servers: leaders killed with -9 under work lose and repeat nothing', async (t) => {
  const cluster = await Cluster.start(t, 3);
  const client = await cluster.connect();
  await cluster.leader(client);
  const work = await startWorkload(cluster, 4);
  const gaps: number[] = [];
  for (let kill = 0; kill < scale(20); kill++) {
    const before = work.ledger.acknowledged;
    await eventually(() => work.ledger.acknowledged > before + 10, 'some work is done');
    work.slowestMs();
    const leader = await cluster.leader(client);
    await cluster.kill(leader);
    const dead = work.ledger.acknowledged;
    await eventually(() => work.ledger.acknowledged > dead + 10, 'work goes on without it');
    gaps.push(Math.round(work.slowestMs()));
    await cluster.launch(leader);
    await cluster.until(client, `${leader.id} follows again`, ({ members }) =>
      members.every((member) => member.reachable),
    );
  }
  await work.stop();
  t.log(`${gaps.length} kills; slowest append around each, in ms: ${gaps.sort((a, b) => a - b).join(' ')}`);
  t.log(await cluster.verify(work.ledger, ['open', 'file_0']));
});

test.serial('three servers: a rolling restart by SIGTERM fails no request', async (t) => {
  const cluster = await Cluster.start(t, 3);
  const client = await cluster.connect();
  await cluster.leader(client);
  const work = await startWorkload(cluster, 4);
  for (const member of cluster.members) {
    const before = work.ledger.acknowledged;
    await eventually(() => work.ledger.acknowledged > before + 10, 'some work is done');
    t.is(await cluster.stop(member), 0);
    await cluster.launch(member);
    await cluster.until(client, `${member.id} follows again`, ({ members }) =>
      members.every((one) => one.reachable),
    );
  }
  t.deepEqual(await work.stop(), []);
  t.log(await cluster.verify(work.ledger, ['open', 'file_0']));
});

test.serial(
  'members: a fourth joins and votes, a wiped one comes back, one is removed, under work',
  async (t) => {
    const cluster = await Cluster.start(t, 3);
    const client = await cluster.connect();
    const work = await startWorkload(cluster, 2);
    const fourth = await cluster.join('n4');
    await client.members.add('n4', fourth.address);
    await cluster.until(client, 'n4 votes', ({ members }) =>
      members.some((one) => one.id === 'n4' && one.voter),
    );
    const leader = await cluster.leader(client);
    const victim = cluster.members.find((member) => member !== leader && member !== fourth);
    t.truthy(victim);
    if (victim === undefined) return;
    await cluster.kill(victim);
    cluster.wipe(victim);
    await cluster.launch(victim);
    await cluster.until(client, `${victim.id} is a learner for a while`, ({ members }) =>
      members.some((one) => one.id === victim.id && one.reachable),
    );
    await cluster.until(client, `${victim.id} votes again`, ({ members }) =>
      members.some((one) => one.id === victim.id && one.voter && one.reachable && one.durableIndex > 0),
    );
    await client.members.remove('n4');
    await cluster.until(client, 'three members', ({ members }) => members.length === 3);
    await cluster.kill(fourth);
    await work.stop();
    t.log(await cluster.verify(work.ledger, ['open', 'file_0']));
  },
);
