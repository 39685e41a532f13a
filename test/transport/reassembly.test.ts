// Putting messages together within bounds.

import test from 'ava';
import {
  FINISHED_MESSAGES_REMEMBERED,
  MESSAGE_BYTES_MAX,
  REASSEMBLY_BYTES_PER_SENDER,
  REASSEMBLY_IDLE_MS,
  REASSEMBLY_MESSAGES_PER_SENDER,
} from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import { Budget, Reassembly } from '#core/transport/reassembly.ts';
import { acknowledges } from '#core/wire/fragment.ts';
import type { Fragment } from '#core/wire/frame.ts';
import { scale } from '../support/scale.ts';

const half = (id: number, index = 0): Fragment => ({
  id,
  index,
  count: 2,
  size: 1_000,
  part: new Uint8Array(500),
});
const ample = () => new Budget(Number.MAX_SAFE_INTEGER);

test('Reassembly: a message is whole with its last fragment, once, and its budget is given back', (t) => {
  const budget = ample();
  const one = new Reassembly(budget);
  t.is(one.receive(half(1), 0).type, 'kept');
  t.is(budget.used, 1_000);
  t.is(one.receive(half(1), 0).type, 'kept');
  t.is(one.receive(half(1, 1), 0).type, 'whole');
  t.is(budget.used, 0);
  t.is(one.receive(half(1), 0).type, 'kept', 'a late copy');
  t.is(one.receive(half(1, 1), 0).type, 'kept');
  t.is(budget.used, 0);
  t.true(acknowledges(one.acknowledgement(1)!, 1));
  t.is(one.acknowledgement(2), null);
});

test('Reassembly: REASSEMBLY_MESSAGES_PER_SENDER are kept, one more is not', (t) => {
  const one = new Reassembly(ample());
  for (let id = 1; id <= REASSEMBLY_MESSAGES_PER_SENDER; id++) t.is(one.receive(half(id), 0).type, 'kept');
  t.is(one.receive(half(1_000), 0).type, 'full');
  t.is(one.receive(half(1, 1), 0).type, 'whole');
  t.is(one.receive(half(1_000), 0).type, 'kept');
});

test('Reassembly: REASSEMBLY_BYTES_PER_SENDER count by full size from the first fragment', (t) => {
  const one = new Reassembly(ample());
  const largest = (id: number): Fragment => {
    const count = 1_024;
    return {
      id,
      index: 0,
      count,
      size: MESSAGE_BYTES_MAX,
      part: new Uint8Array(Math.ceil(MESSAGE_BYTES_MAX / count)),
    };
  };
  const fit = Math.floor(REASSEMBLY_BYTES_PER_SENDER / MESSAGE_BYTES_MAX);
  for (let id = 1; id <= fit; id++) t.is(one.receive(largest(id), 0).type, 'kept');
  t.is(one.receive(largest(100), 0).type, 'full');
});

test("Reassembly: senders share a budget, and clear gives a sender's part back", (t) => {
  const budget = new Budget(2_000);
  const [first, second] = [new Reassembly(budget), new Reassembly(budget)];
  t.is(first.receive(half(1), 0).type, 'kept');
  t.is(first.receive(half(2), 0).type, 'kept');
  t.is(second.receive(half(1), 0).type, 'full');
  first.clear();
  t.is(budget.used, 0);
  t.is(second.receive(half(1), 0).type, 'kept');
});

test('Reassembly.expire: drops what was idle for REASSEMBLY_IDLE_MS and nothing younger', (t) => {
  const one = new Reassembly(ample());
  const large = (index: number): Fragment => ({
    id: 1,
    index,
    count: 4,
    size: 2_000,
    part: new Uint8Array(500),
  });
  one.receive(large(0), 0);
  one.receive(half(2), 1);
  one.receive(large(1), 5);
  t.is(one.expire(REASSEMBLY_IDLE_MS), 0);
  t.is(one.expire(REASSEMBLY_IDLE_MS + 1), 1);
  t.is(one.count, 1);
  t.is(one.expire(REASSEMBLY_IDLE_MS + 5), 1);
});

test('Reassembly: remembers FINISHED_MESSAGES_REMEMBERED finished messages', (t) => {
  const one = new Reassembly(ample());
  for (let id = 1; id <= FINISHED_MESSAGES_REMEMBERED + 1; id++) {
    one.receive(half(id), 0);
    one.receive(half(id, 1), 0);
  }
  t.is(one.acknowledgement(1), null);
  t.not(one.acknowledgement(2), null);
});

test('Reassembly: lies are refused and take no budget', (t) => {
  const budget = ample();
  const one = new Reassembly(budget);
  const prng = new Prng(1);
  one.receive(half(1), 0);
  t.is(one.receive({ ...half(1, 1), count: 3, size: 1_500 }, 0).type, 'refused');
  for (let round = 0; round < scale(20_000); round++) {
    const number = () =>
      prng.pick([0, 1, 2, 3, 1_000, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1, 2 ** 53 - 1]);
    one.receive(
      { id: 2, index: number(), count: number(), size: number(), part: prng.bytes(prng.pick([0, 1, 400])) },
      0,
    );
  }
  t.is(budget.used, 1_000);
});
