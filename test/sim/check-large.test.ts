// A large history is judged; one that is too hard is said to be so, within its time and memory.

import test from 'ava';
import { checkHistory } from '#core/sim/index.ts';
import { scale } from '../support/scale.ts';
import { historyOf, line } from './history-kit.ts';
import { crowdedHistory, largeHistory } from './large-histories.ts';

test('checkHistory: judges a large history', (t) => {
  const history = largeHistory(scale(100_000));
  const startedAt = performance.now();
  const { verdict, operations } = checkHistory(history);
  t.log(`${operations} operations in ${Math.round(performance.now() - startedAt)} ms`);
  t.is(verdict, 'linearizable');
});

test('checkHistory: finds the one wrong answer in a large history', (t) => {
  const { operations } = largeHistory(scale(100_000));
  const lines = operations.map(({ source }) => source);
  const gets = operations.filter(({ action }) => action.type === 'get' && action.value !== null);
  const late = gets[Math.floor(gets.length * 0.9)];
  const wrong = lines.map((each) => (each === late?.source ? { ...each, result: 'nobody’s' } : each));
  const { verdict, finding } = checkHistory(historyOf(wrong));
  t.is(verdict, 'not-linearizable');
  t.deepEqual(
    finding?.operations.map(({ source }) => source),
    [{ ...late?.source, result: 'nobody’s' }],
  );
});

test('checkHistory: says unknown when there are more orders than it may hold', (t) => {
  const { verdict, why, finding } = checkHistory(crowdedHistory(2_000), { statesMax: 500 });
  t.is(verdict, 'unknown');
  t.regex(why.join(), /memory/);
  t.is(finding, null);
});

test('checkHistory: says unknown when its time is over', (t) => {
  let nowMs = 0;
  const { verdict, why, partition } = checkHistory(crowdedHistory(2_000), {
    clock: { now: () => nowMs++ },
    timeoutMs: 20,
  });
  t.is(verdict, 'unknown');
  t.regex(why.join(), /time was over/);
  t.is(partition, 'register r0');
});

test('checkHistory: what is certainly wrong decides, also beside what could not be judged', (t) => {
  const hard = crowdedHistory(2_000).operations.map(({ source }) => source);
  const wrong = line(9_999, ['get', 'other', null], [1, 2], { result: 'x' });
  t.is(checkHistory(historyOf([...hard, wrong]), { statesMax: 500 }).verdict, 'not-linearizable');
});
