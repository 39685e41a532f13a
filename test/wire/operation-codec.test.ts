// The bytes of operations and kept answers.

import test from 'ava';
import { decode, Writer } from '#core/base/bytes.ts';
import { CODE_TABLE, REASONS } from '#core/base/codes.ts';
import {
  ANSWER_BYTES_MAX,
  COUNTER_MAX,
  DECODED_NAME_BYTES_MAX,
  DECODED_VALUE_BYTES_MAX,
  RECORD_BYTES_MAX,
} from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import type { Answer, Operation } from '#core/state-machine/commands.ts';
import { decodeAnswer, decodeOperation, encodeAnswer, encodeOperation } from '#core/wire/operation-codec.ts';
import { answer, mutated, OPERATION_TYPES, operation } from '../support/arbitrary.ts';
import { scale } from '../support/scale.ts';

function bytesOf(one: Operation): Uint8Array {
  const writer = new Writer();
  encodeOperation(writer, one);
  return writer.finish();
}

function bytesOfAnswer(one: Answer): Uint8Array {
  const writer = new Writer();
  encodeAnswer(writer, one);
  return writer.finish();
}

for (const type of OPERATION_TYPES) {
  test(`decodeOperation: ${type} comes back as it was, and as the same bytes`, (t) => {
    const prng = new Prng(7);
    for (let round = 0; round < scale(2_000); round++) {
      const one = operation(prng, type);
      const bytes = bytesOf(one);
      const back = decode(bytes, decodeOperation);
      t.deepEqual(back, { ok: true, value: one });
      if (back.ok) t.deepEqual(bytesOf(back.value), bytes);
    }
  });
}

test('decodeOperation: mutated and random bytes give an operation or a problem, never an exception', (t) => {
  const prng = new Prng(8);
  let problems = 0;
  for (let round = 0; round < scale(100_000); round++) {
    const wrong = mutated(prng, bytesOf(operation(prng)));
    const back = decode(wrong, decodeOperation);
    if (!back.ok) problems++;
    // What decodes has one encoding only.
    else if (wrong.length > 0) t.deepEqual(bytesOf(back.value), wrong);
  }
  t.true(problems > 0);
});

test('decodeOperation: names and values that are merely too long for the service still decode, to be refused by name', (t) => {
  const name = 'n'.repeat(DECODED_NAME_BYTES_MAX);
  const value = 'v'.repeat(DECODED_VALUE_BYTES_MAX);
  const put: Operation = { type: 'kv-put', key: name, value };
  t.deepEqual(decode(bytesOf(put), decodeOperation), { ok: true, value: put });
  const data = new Uint8Array(RECORD_BYTES_MAX + 1);
  const append: Operation = { type: 'append', log: 'a', data, fence: null };
  t.deepEqual(decode(bytesOf(append), decodeOperation), { ok: true, value: append });
});

test('decodeOperation: one byte beyond the hard bounds is refused', (t) => {
  const name = decode(
    bytesOf({ type: 'kv-delete', key: 'n'.repeat(DECODED_NAME_BYTES_MAX + 1) }),
    decodeOperation,
  );
  t.false(name.ok);
  const value = decode(
    bytesOf({ type: 'kv-put', key: 'k', value: 'v'.repeat(DECODED_VALUE_BYTES_MAX + 1) }),
    decodeOperation,
  );
  t.false(value.ok);
});

test('decodeOperation: an unknown tag, an unknown mode and a trailing byte are refused', (t) => {
  t.false(decode(Uint8Array.of(0), decodeOperation).ok);
  t.false(decode(Uint8Array.of(13), decodeOperation).ok);
  const acquire = bytesOf({
    type: 'acquire',
    lock: 'a',
    owner: 1,
    mode: 'shared',
    ttlMs: 1,
    resendMs: 1,
    wait: true,
  });
  t.is(acquire[4], 1, 'where the mode lies');
  acquire[4] = 2;
  t.false(decode(acquire, decodeOperation).ok);
  t.false(decode(Uint8Array.of(12, 0), decodeOperation).ok);
});

test('decodeAnswer: every code and reason comes back as it was, and as the same bytes', (t) => {
  for (const { code } of CODE_TABLE) {
    for (const reason of REASONS) {
      const one: Answer = { code, reason, value: COUNTER_MAX, ttlMs: COUNTER_MAX };
      const bytes = bytesOfAnswer(one);
      t.true(bytes.length <= ANSWER_BYTES_MAX);
      t.deepEqual(decode(bytes, decodeAnswer), { ok: true, value: one });
    }
  }
});

test('decodeAnswer: an unknown code or reason is refused', (t) => {
  t.false(decode(Uint8Array.of(CODE_TABLE.length, 0, 0, 0), decodeAnswer).ok);
  t.false(decode(Uint8Array.of(0, REASONS.length, 0, 0), decodeAnswer).ok);
  t.true(decode(Uint8Array.of(0, REASONS.length - 1, 0, 0), decodeAnswer).ok);
});

test('decodeAnswer: mutated bytes give an answer or a problem, never an exception', (t) => {
  const prng = new Prng(9);
  for (let round = 0; round < scale(50_000); round++) {
    const wrong = mutated(prng, bytesOfAnswer(answer(prng)));
    const back = decode(wrong, decodeAnswer);
    if (back.ok) t.deepEqual(bytesOfAnswer(back.value), wrong);
  }
  t.pass();
});
