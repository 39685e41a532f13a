// Random runs of a small cluster: whatever the network and the disks do, what is committed stays, in one order.

import test from 'ava';
import { scale } from '../support/scale.ts';
import { Network } from './network.ts';

function randomRun(seed: number): { committed: number; leaders: number } {
  const names = seed % 3 === 0 ? ['a', 'b', 'c', 'd', 'e'] : ['a', 'b', 'c'];
  const network = new Network(seed, names);
  const { prng } = network;
  network.faults = {
    loss: prng.fraction() * 0.2,
    duplicate: prng.fraction() * 0.1,
    delayMs: prng.between(0, 30),
  };
  for (const node of network.nodes.values()) node.diskLagMs = prng.between(0, 40);
  const down = new Set<string>();
  for (let round = 0; round < 150; round++) {
    const victim = prng.pick(names);
    const dice = prng.fraction();
    if (dice < 0.06 && down.size < Math.floor(names.length / 2)) {
      network.crash(victim);
      down.add(victim);
    } else if (dice < 0.15 && down.has(victim)) {
      network.start(victim);
      down.delete(victim);
    } else if (dice < 0.2) network.cut.add(`${victim}>${prng.pick(names)}`);
    else if (dice < 0.3) network.cut.clear();
    else if (dice < 0.33)
      network.leader()?.raft?.transferTo(victim, network.now, { atOnce: prng.chance(0.5) });
    for (let count = prng.between(0, 5); count > 0; count--) network.propose(`${round}/${count}`);
    network.run(prng.between(1, 40));
  }
  network.cut.clear();
  network.faults = { loss: 0, duplicate: 0, delayMs: 2 };
  for (const name of down) network.start(name);
  // A leader that was cut off may still think that it leads and take the first proposal; then another is made.
  let index = Number.POSITIVE_INFINITY;
  let proposedAt = Number.NEGATIVE_INFINITY;
  network.until(() => {
    if (network.leader()?.raft?.serving === true && network.now - proposedAt > 1_000) {
      index = network.propose('last') ?? index;
      proposedAt = network.now;
    }
    return [...network.nodes.values()].every((node) => (node.applied.at(-1)?.index ?? 0) >= index);
  }, `everybody applies entry ${index}, seed ${seed}`);
  return { committed: network.committed.size, leaders: network.leaders.size };
}

test('Raft: random crashes, cuts, losses and slow disks never change what was committed, and it goes on after', (t) => {
  let committed = 0;
  let leaders = 0;
  for (let seed = 1; seed <= scale(1_000); seed++) {
    const run = randomRun(seed);
    committed += run.committed;
    leaders += run.leaders;
  }
  t.log(`${scale(1_000)} runs: ${committed} entries committed under ${leaders} leaders`);
  t.true(committed > 0 && leaders > scale(1_000));
});
