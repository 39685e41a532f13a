// The lab's verdict: a correct history passes, and each kind of broken promise is named.

import test from 'ava';
import type { HistoryLine, Lost, Operation } from '../../agent/lab/history.ts';
import { type LogContents, verify } from '../../agent/lab/verify.ts';

let client = 0;

function operation(
  parts: Partial<Operation> & Pick<Operation, 'op' | 'key'>,
  from: number,
  to: number,
): Operation {
  return {
    client: ++client,
    arg: null,
    result: null,
    code: 0,
    definite: true,
    ...parts,
    invokeNs: String(from),
    completeNs: String(to),
  };
}

const acquire = (token: number, from: number, to: number): Operation =>
  operation({ op: 'acquire', key: 'l', arg: { shared: false }, result: { token } }, from, to);
const release = (token: number, from: number): Operation =>
  operation({ op: 'release', key: 'l', arg: { token } }, from, from + 1);
const append = (data: string, offset: number, token: number, from: number): Operation =>
  operation({ op: 'append', key: 'f', arg: { data, lock: 'l', token }, result: { offset } }, from, from + 1);
const lost = (token: number, heldUntil: number): Lost => ({
  client: ++client,
  op: 'lost',
  key: 'l',
  arg: { token },
  heldUntilNs: String(heldUntil),
});

const contents = (records: readonly string[], file = records.join('')): LogContents[] => [
  { log: 'f', records: records.map((data, offset) => ({ offset, data })), file },
];

const GOOD: readonly HistoryLine[] = [
  acquire(1, 0, 10),
  append('a', 0, 1, 11),
  release(1, 20),
  acquire(2, 5, 25),
  append('b', 1, 2, 26),
  release(2, 30),
];

test('verify: a correct history has no violations, and is counted', (t) => {
  const verdict = verify(GOOD, contents(['a', 'b']));
  t.deepEqual(verdict.violations, []);
  t.is(verdict.acknowledgedAppends, 2);
  t.is(verdict.grants, 2);
});

test('verify: an unknown append may stand once or not at all, and not twice', (t) => {
  const unknown = { ...append('c', 0, 2, 27), completeNs: null, result: null, code: null, definite: false };
  t.deepEqual(verify([...GOOD, unknown], contents(['a', 'b'])).violations, []);
  t.deepEqual(verify([...GOOD, unknown], contents(['a', 'b', 'c'])).violations, []);
  t.regex(
    verify([...GOOD, unknown], contents(['a', 'b', 'c', 'c'])).violations.join(),
    /"c" stands more than once/,
  );
});

test('verify: a holder that lost its lock held it until its deadline only', (t) => {
  const fine = [acquire(1, 0, 10), lost(1, 100), acquire(2, 5, 101), release(2, 110)];
  t.deepEqual(verify(fine, []).violations, []);
  const early = [acquire(1, 0, 10), lost(1, 100), acquire(2, 5, 99), release(2, 110)];
  t.regex(verify(early, []).violations.join(), /held it at once/);
});

const broken: readonly (readonly [string, readonly HistoryLine[], readonly LogContents[], RegExp])[] = [
  [
    'an acknowledged record is missing',
    GOOD,
    contents(['a']),
    /"b" was acknowledged at 1, but stands at \[\]/,
  ],
  ['an acknowledged record stands twice', GOOD, contents(['a', 'b', 'b']), /stands at \[1, 2\]/],
  [
    'an acknowledged record stands elsewhere',
    GOOD,
    contents(['b', 'a']),
    /acknowledged at 0, but stands at \[1\]/,
  ],
  ['a record that nobody appended', GOOD, contents(['a', 'b', 'x']), /holds "x", which nobody appended/],
  ['the plain file differs', GOOD, contents(['a', 'b'], 'aB'), /plain file does not hold the same bytes/],
  [
    'a refused record stands',
    [...GOOD, { ...append('c', 0, 1, 40), code: 2, result: null }],
    contents(['a', 'b', 'c']),
    /"c" was refused with code 2, but stands at 2/,
  ],
  [
    'two holders at once',
    [acquire(1, 0, 10), release(1, 50), acquire(2, 1, 20), release(2, 60)],
    [],
    /at once/,
  ],
  [
    'a token that shrinks',
    [acquire(2, 0, 10), release(2, 11), acquire(1, 20, 30)],
    [],
    /token 1 was granted after/,
  ],
  ['a token granted twice', [acquire(1, 0, 10), release(1, 11), acquire(1, 5, 30)], [], /granted twice/],
  [
    'an append under an old token',
    [acquire(1, 0, 10), release(1, 12), acquire(2, 5, 20), append('a', 0, 1, 25)],
    contents(['a']),
    /accepted under token 1 after 2 was granted/,
  ],
];
for (const [what, history, logs, message] of broken) {
  test(`verify: ${what} is named`, (t) => {
    t.regex(verify(history, logs).violations.join('\n'), message);
  });
}
