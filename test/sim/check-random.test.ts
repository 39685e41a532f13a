// Random histories: those of a service that is right are judged right; small ones, right and mutated, are judged as a checker
// judges them that tries every order.

import test from 'ava';
import { Prng } from '#core/base/prng.ts';
import { checkHistory, shortest } from '#core/sim/index.ts';
import { scale } from '../support/scale.ts';
import { historyOf, type Line, mutated, rightHistory } from './history-kit.ts';
import { naiveVerdict } from './naive-check.ts';

function seededService(prng: Prng): Line[] {
  return rightHistory(prng, {
    operations: prng.between(3, 120),
    clients: prng.between(1, 9),
    registers: prng.between(0, 3),
    locks: prng.between(1, 3),
    logsPerLock: prng.between(0, 3),
    freeLogs: prng.between(0, 2),
    unknown: prng.pick([0, 0.02, 0.1]),
    expiry: prng.pick([0, 0.02, 0.1]),
    values: prng.pick([0, 3]),
    sameData: prng.chance(0.3),
  });
}

test('checkHistory: a right service is never refused', (t) => {
  let unknown = 0;
  const seeds = scale(5_000);
  for (let seed = 1; seed <= seeds; seed++) {
    const { verdict, why } = checkHistory(historyOf(seededService(new Prng(seed))));
    if (verdict === 'unknown') unknown++;
    else if (verdict !== 'linearizable') return t.fail(`seed ${seed}: ${why.join(' ')}`);
  }
  t.log(`${seeds} histories, ${unknown} of them could not be judged`);
  t.true(unknown <= seeds / 100);
});

test('checkHistory: what it shows of a wrong history is short, and is wrong by itself', (t) => {
  let refused = 0;
  let longest = 0;
  for (let seed = 1; seed <= scale(2_000); seed++) {
    const prng = new Prng(seed);
    const { verdict, finding, operations } = checkHistory(historyOf(mutated(prng, seededService(prng))));
    if (verdict !== 'not-linearizable') continue;
    refused++;
    const lines = shortest(finding);
    t.true(lines.length > 0 && lines.length <= operations, `seed ${seed}`);
    longest = Math.max(longest, lines.length);
    const again = checkHistory(historyOf(lines));
    if (again.verdict !== 'not-linearizable') t.fail(`seed ${seed}: ${JSON.stringify(lines)}`);
  }
  t.log(`${refused} refused; the longest part has ${longest} operations`);
  t.true(refused > scale(2_000) / 10);
  t.true(longest <= 20);
});

const kinds = ['register', 'lock', 'log'] as const;

for (const kind of kinds) {
  test(`checkHistory: judges small histories of a ${kind} as trying every order does`, (t) => {
    const counts = { linearizable: 0, 'not-linearizable': 0, unknown: 0 };
    for (let seed = 1; seed <= scale(20_000); seed++) {
      const prng = new Prng(seed);
      let lines = rightHistory(prng, {
        operations: prng.between(2, 8),
        clients: prng.between(1, 5),
        registers: kind === 'register' ? 1 : 0,
        locks: kind === 'lock' ? 1 : 0,
        logsPerLock: prng.between(0, 2),
        freeLogs: kind === 'log' ? 1 : 0,
        unknown: prng.pick([0, 0.05, 0.15]),
        expiry: prng.pick([0, 0.1]),
        values: prng.pick([0, 2]),
        sameData: prng.chance(0.3),
      });
      for (let mutations = prng.between(0, 4); mutations > 0; mutations--) lines = mutated(prng, lines);
      if (lines.length > 10) continue;
      const history = historyOf(lines);
      const { verdict } = checkHistory(history);
      counts[verdict]++;
      if (verdict === 'unknown' || (verdict === 'linearizable') === naiveVerdict(history)) continue;
      t.fail(`seed ${seed}: ${verdict}\n${lines.map((each) => JSON.stringify(each)).join('\n')}`);
    }
    t.log(JSON.stringify(counts));
    t.true(counts.linearizable > 0 && counts['not-linearizable'] > counts.linearizable / 20);
    t.true(counts.unknown <= counts.linearizable / 50);
  });
}
