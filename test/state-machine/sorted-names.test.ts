import test from 'ava';
import { Prng } from '#core/base/prng.ts';
import { SortedNames } from '#core/state-machine/sorted-names.ts';
import { scale } from '../support/scale.ts';

test('SortedNames: an empty set has nothing from anywhere', (t) => {
  const names = new SortedNames();
  t.deepEqual([...names.all(), ...names.from('a'), ...names.after('a')], []);
  t.throws(() => names.remove('a'), { message: /not there/ });
});

test('SortedNames.add: a name that is there already is an assertion', (t) => {
  const names = new SortedNames();
  names.add('a');
  t.throws(() => names.add('a'), { message: /added twice/ });
});

test('SortedNames: says the same as a sorted array after any additions and removals', (t) => {
  const rng = new Prng(1);
  const names = new SortedNames();
  const model = new Set<string>();
  const name = () => `${rng.pick(['a', 'b', 'B', ''])}${rng.between(0, 3_000)}`;
  for (let round = 0; round < scale(200_000); round++) {
    const one = name();
    // Growing for a while, then shrinking for a while.
    if (rng.chance(round % 10_000 < 6_000 ? 0.9 : 0.2)) {
      if (!model.has(one)) names.add(one);
      model.add(one);
    } else if (model.delete(one)) names.remove(one);
    if (round % 997 !== 0) continue;
    const sorted = [...model].sort();
    const low = name();
    t.is(names.size, model.size);
    t.deepEqual([...names.all()], sorted);
    t.deepEqual(
      [...names.from(low)],
      sorted.filter((item) => item >= low),
    );
    t.deepEqual(
      [...names.after(low)],
      sorted.filter((item) => item > low),
    );
  }
});
