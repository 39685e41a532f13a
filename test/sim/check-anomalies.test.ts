// Histories with one planted anomaly each, in the midst of a service that is otherwise right: refused, and the part that is
// shown is the anomaly and little else.

import test from 'ava';
import { Prng } from '#core/base/prng.ts';
import { checkHistory, shortest } from '#core/sim/index.ts';
import { historyOf, type Line, line, lostLine, rightHistory } from './history-kit.ts';

/** Right lines around the planted ones: other names, other clients, the same times. */
const noise = rightHistory(new Prng(1), {
  operations: 300,
  clients: 6,
  registers: 2,
  locks: 2,
  logsPerLock: 2,
  freeLogs: 1,
  unknown: 0.02,
  expiry: 0.01,
});

const files = (shared: boolean, owner: string, depth = 1) =>
  ['acquire', 'files', { shared, owner, depth }] as const;
const append = (data: string, token: number, log = 'file_1') =>
  ['append', log, { data, lock: 'files', token }] as const;
const free = (data: string) => ['append', 'audit', { data, lock: null, token: null }] as const;
const release = (token: number) => ['release', 'files', { token }] as const;
const read = (log: string, from = 0, limit = 10) => ['read', log, { from, limit }] as const;
const records = (...data: string[]) => ({ result: data.map((each, offset) => ({ offset, data: each })) });
const token = (number: number) => ({ result: { token: number } });
const offset = (number: number) => ({ result: { offset: number } });

interface Planted {
  readonly name: string;
  /** Right by themselves, of the same partition; some of them may be part of the anomaly. */
  readonly around?: readonly Line[];
  /** All of these must be shown. */
  readonly anomaly: readonly Line[];
  /** And no more than these many more. */
  readonly more?: number;
  readonly says: RegExp;
}

const seventh = [
  line(1002, files(false, 'b'), [21, 25], token(7)),
  line(1002, append('third', 7), [26, 28], offset(2)),
];

/** A right beginning for the lock's tests: token 5 appended twice and was released. */
const begun = [
  line(1001, files(false, 'a'), [10, 12], token(5)),
  line(1001, append('first', 5), [13, 15], offset(0)),
  line(1001, append('second', 5), [16, 18], offset(1)),
  line(1001, append('other', 5, 'file_2'), [19, 20], offset(0)),
];

const anomalies: readonly Planted[] = [
  {
    name: 'a lost record: a later read does not show it',
    around: [line(1001, free('a'), [1, 2], offset(0)), line(1002, read('audit'), [3, 4], records('a'))],
    anomaly: [line(1001, free('b'), [5, 8], offset(1)), line(1002, read('audit'), [11, 12], records('a'))],
    says: /appended "b" to log audit and was given offset 1\. That ended 3 ms before this began: client 1002 read log audit/,
  },
  {
    name: 'a lost record: its offset is given to another one',
    around: begun,
    anomaly: [
      line(1001, append('third', 5), [30, 32], offset(2)),
      line(1001, append('fourth', 5), [33, 35], offset(2)),
    ],
    says: /Offset 2 of log file_1 was given out twice/,
  },
  {
    name: 'a lost record: the log goes on behind a gap',
    around: begun,
    anomaly: [line(1001, append('third', 5), [30, 32], offset(3))],
    says: /no append is left that can have written offset 2/,
  },
  {
    name: 'a repeated record',
    around: [line(1001, free('a'), [1, 2], offset(0))],
    anomaly: [
      line(1002, free('b'), [3, 5], offset(1)),
      line(1003, read('audit'), [8, 9], records('a', 'b', 'b')),
    ],
    says: /found "b" in log audit at offset 2, and it stands at offset 1 too, but it was appended only once/,
  },
  {
    name: 'a repeated record of unknown outcome',
    around: [line(1001, free('a'), [1, 2], offset(0))],
    anomaly: [line(1002, free('b'), [3, null]), line(1003, read('audit'), [8, 9], records('a', 'b', 'b'))],
    says: /appended only once: the record is repeated/,
  },
  {
    name: 'reordered records: offsets against the order of times',
    around: begun,
    anomaly: [
      line(1001, append('third', 5), [30, 32], offset(3)),
      line(1001, append('fourth', 5), [33, 35], offset(2)),
    ],
    says: /offset 2 is written before offset 3/,
  },
  {
    name: 'reordered records: a read shows them the other way round',
    around: [line(1001, free('a'), [1, 2], offset(0))],
    anomaly: [
      line(1001, free('b'), [3, 5], offset(1)),
      line(1002, free('c'), [6, 7], offset(2)),
      line(1003, read('audit'), [8, 9], records('a', 'c', 'b')),
    ],
    says: /found "[bc]" there\. "[bc]" was acknowledged at offset/,
  },
  {
    name: 'a stale read of a register',
    around: [line(1001, ['put', 'x', '0'], [0, 1]), line(1004, ['get', 'x', null], [2, 3], { result: '0' })],
    anomaly: [
      line(1001, ['put', 'x', 'a'], [4, 5]),
      line(1002, ['put', 'x', 'b'], [7, 9]),
      line(1003, ['get', 'x', null], [12, 14], { result: 'a' }),
    ],
    says: /client 1003 read "a" from register x, but that value had been overwritten: client 1002 put "b" into register x, which ended 3 ms before/i,
  },
  {
    name: 'a register that is empty again by itself',
    anomaly: [
      line(1001, ['put', 'x', 'a'], [4, 5]),
      line(1003, ['get', 'x', null], [12, 14], { result: null }),
    ],
    says: /found nothing in register x, although client 1001 put "a"/,
  },
  {
    name: 'a value that nobody wrote',
    around: [line(1001, ['put', 'x', 'a'], [4, 5])],
    anomaly: [line(1003, ['get', 'x', null], [12, 14], { result: 'b' })],
    says: /nobody ever wrote "b"/,
  },
  {
    name: 'a read from the future, of a register',
    around: [line(1001, ['put', 'x', 'a'], [0, 1])],
    anomaly: [line(1003, ['get', 'x', null], [2, 4], { result: 'b' }), line(1001, ['put', 'x', 'b'], [6, 8])],
    says: /2 ms before the first to write that value had begun/,
  },
  {
    name: 'a read from the future, of a log',
    around: [line(1001, free('a'), [1, 2], offset(0))],
    anomaly: [line(1003, read('audit'), [3, 4], records('a', 'b')), line(1001, free('b'), [6, 8], offset(1))],
    says: /That ended 2 ms before this began: client 1001 appended "b".*a record is written before it is read/s,
  },
  {
    name: 'a change that is made twice',
    around: [line(1001, ['put', 'x', 'a'], [0, 1])],
    anomaly: [
      line(1002, ['cas', 'x', { expect: 'a', value: 'b' }], [2, 6]),
      line(1003, ['cas', 'x', { expect: 'a', value: 'c' }], [3, 7]),
    ],
    more: 1,
    says: /Clients 1002 and 1003 each changed register x from "a"/,
  },
  {
    name: 'a cas that failed against the value that stood there',
    anomaly: [
      line(1001, ['put', 'x', 'a'], [0, 1]),
      line(1002, ['cas', 'x', { expect: 'a', value: 'b' }], [2, 6], { code: 6 }),
    ],
    says: /was told that register x does not hold "a"/,
  },
  {
    name: 'a double holder: both use their lock',
    around: begun,
    anomaly: [
      line(1002, files(false, 'b'), [21, 25], token(7)),
      line(1001, append('third', 5), [30, 32], offset(2)),
    ],
    says: /once token 7 is granted, token 5 is over/,
  },
  {
    name: 'a double holder: granted before the other has let go',
    around: begun,
    anomaly: [
      begun[0] as Line,
      line(1002, files(false, 'b'), [21, 25], token(7)),
      line(1001, release(5), [30, 32]),
    ],
    says: /Lock files had two holders at once: client 1001 \(token 5\) counted on it until it asked for its release/,
  },
  {
    name: 'a double holder: granted before the deadline that the other counted on',
    around: begun,
    anomaly: [
      begun[0] as Line,
      line(1002, files(false, 'b'), [21, 25], token(7)),
      line(1002, release(7), [30, 32]),
      lostLine(1001, 'files', 5, 29),
    ],
    says: /two holders at once for 4 ms: client 1001 \(token 5\) counted on it until its deadline/,
  },
  {
    name: 'a shared holder beside an exclusive one',
    anomaly: [
      line(1001, files(true, 'a'), [10, 12], token(5)),
      line(1002, files(false, 'b'), [13, 15], token(6)),
      line(1001, release(5), [20, 21]),
      line(1002, release(6), [22, 23]),
    ],
    says: /Lock files had two holders at once/,
  },
  {
    name: 'a reused token',
    around: [...begun, line(1001, release(5), [21, 22])],
    anomaly: [begun[0] as Line, line(1002, files(false, 'b'), [25, 27], token(5))],
    says: /Token 5 of lock files was given out twice/,
  },
  {
    name: 'a token that is lower than an earlier one',
    around: begun,
    anomaly: [begun[0] as Line, line(1002, files(false, 'b'), [25, 27], token(4))],
    says: /tokens only grow/,
  },
  {
    name: 'a late append that is accepted',
    around: [...begun, ...seventh],
    anomaly: [seventh[0] as Line, line(1001, append('late', 5, 'file_2'), [29, 31], offset(1))],
    says: /once token 7 is granted, token 5 is over/,
  },
  {
    name: 'a late append of unknown outcome that a read shows',
    around: [...begun, ...seventh],
    anomaly: [
      seventh[1] as Line,
      line(1001, append('late', 5), [29, null]),
      line(1003, read('file_1'), [40, 42], records('first', 'second', 'third', 'late')),
    ],
    says: /token 5 is over/,
  },
  {
    name: 'an append that was refused and stands in the log',
    around: begun,
    anomaly: [
      line(1003, append('stray', 3), [21, 25], { code: 2 }),
      line(1004, read('file_1'), [30, 31], records('first', 'second', 'stray')),
    ],
    says: /A refused append must leave nothing/,
  },
  {
    name: 'a record that nobody appended',
    around: begun,
    anomaly: [line(1004, read('file_1'), [30, 31], records('first', 'second', 'third'))],
    says: /nobody appended it/,
  },
  {
    name: 'an append under a shared token',
    anomaly: [
      line(1001, files(true, 'a'), [10, 12], token(5)),
      line(1001, append('x', 5), [13, 15], offset(0)),
    ],
    says: /Only an exclusive token may append/,
  },
  {
    name: 'an append under a token that nobody was granted',
    around: begun,
    anomaly: [line(1003, append('third', 6), [21, 25], offset(2))],
    says: /nobody was granted that token/,
  },
  {
    name: 'a token that is accepted after it was refused',
    around: begun,
    anomaly: [
      line(1001, append('no', 5), [21, 25], { code: 2 }),
      line(1001, append('third', 5), [26, 28], offset(2)),
    ],
    says: /refused once is not accepted again/,
  },
  {
    name: 'an append after the release',
    around: begun,
    anomaly: [line(1001, release(5), [21, 25]), line(1001, append('third', 5), [26, 28], offset(2))],
    says: /after its release token 5 is over/,
  },
  {
    name: 'a lock that is released more often than acquired',
    around: begun,
    anomaly: [begun[0] as Line, line(1001, release(5), [21, 25]), line(1001, release(5), [26, 28])],
    says: /acquired once, but released 2 times/,
  },
  {
    name: 'tokens against offsets, all at the same time',
    around: [],
    anomaly: [
      line(1001, files(false, 'a'), [0, 50], token(1)),
      line(1002, files(false, 'b'), [0, 50], token(2)),
      line(1003, append('x', 1), [0, 50], offset(1)),
      line(1004, append('y', 2), [0, 50], offset(0)),
    ],
    // The grants need not be shown: the two appends say it all.
    more: -2,
    says: /The first must have come before the second, since .*; and the second before the first, since /,
  },
];

for (const { name, around = [], anomaly, more = 0, says } of anomalies) {
  test(`checkHistory: refuses ${name}`, (t) => {
    const right = checkHistory(historyOf([...noise, ...around]));
    t.is(right.verdict, 'linearizable', `what is around it is right: ${right.why.join(' ')}`);
    const planted = anomaly.filter((each) => !around.includes(each));
    const verdict = checkHistory(historyOf([...noise, ...around, ...planted]));
    t.is(verdict.verdict, 'not-linearizable');
    t.regex(verdict.why.join('\n'), says);
    const shown = shortest(verdict.finding).map((each) => JSON.stringify(each));
    const expected = anomaly.map((each) => JSON.stringify(each));
    if (more >= 0)
      t.deepEqual(
        expected.filter((each) => !shown.includes(each)),
        [],
        'all of it is shown',
      );
    t.true(shown.length <= anomaly.length + more, shown.join('\n'));
  });
}

test('checkHistory: a holder that pauses past its lease is refused, and that is right', (t) => {
  const history = historyOf([
    ...begun,
    lostLine(1001, 'files', 5, 20),
    line(1002, files(false, 'b'), [19, 25], token(7)),
    line(1001, append('late', 5), [30, 32], { code: 2 }),
    line(1001, release(5), [33, 35], { code: 2 }),
    line(1002, append('third', 7), [36, 38], offset(2)),
    line(1002, release(7), [39, 40]),
  ]);
  t.is(checkHistory(history).verdict, 'linearizable');
});

test('checkHistory: a holder past its lease with nobody waiting may go on', (t) => {
  const history = historyOf([
    ...begun,
    line(1001, append('third', 5), [5_000, 5_001], offset(2)),
    line(1001, release(5), [5_002, 5_003]),
    line(1002, files(false, 'b'), [5_004, 5_006], token(6)),
  ]);
  t.is(checkHistory(history).verdict, 'linearizable');
});

test('checkHistory: shared holders stand beside each other', (t) => {
  const history = historyOf([
    line(1, files(true, 'a'), [0, 1], token(1)),
    line(2, files(true, 'b'), [2, 3], token(2)),
    line(1, release(1), [4, 5]),
    line(2, release(2), [4, 5]),
    line(3, files(false, 'c'), [3, 7], token(3)),
  ]);
  t.is(checkHistory(history).verdict, 'linearizable');
});

test('checkHistory: re-entry is counted: as many releases as entries, and appends in between', (t) => {
  const twice = [
    line(1, files(false, 'a'), [0, 1], token(1)),
    line(1, files(false, 'a', 2), [2, 3], token(1)),
    line(1, release(1), [4, 5]),
    line(1, append('x', 1), [6, 7], offset(0)),
    line(1, release(1), [8, 9]),
  ];
  t.is(checkHistory(historyOf(twice)).verdict, 'linearizable');
  const after = line(1, append('y', 1), [10, 11], offset(1));
  t.is(checkHistory(historyOf([...twice, after])).verdict, 'not-linearizable');
  const otherOwner = line(2, files(false, 'b', 2), [6, 7], token(1));
  t.is(checkHistory(historyOf([...twice, otherOwner])).verdict, 'not-linearizable');
});

test('checkHistory: a read that its limit cut says nothing of what follows', (t) => {
  const history = historyOf([
    line(1, free('a'), [0, 1], offset(0)),
    line(1, free('b'), [2, 3], offset(1)),
    line(2, read('audit', 0, 1), [4, 5], records('a')),
    line(2, read('audit', 7), [6, 7], { result: [] }),
  ]);
  t.is(checkHistory(history).verdict, 'linearizable');
});

test('checkHistory: equal times overlap', (t) => {
  const at = (from: number) =>
    historyOf([line(1, ['put', 'x', 'a'], [0, 5]), line(2, ['get', 'x', null], [from, 9], { result: null })]);
  t.is(checkHistory(at(5)).verdict, 'linearizable');
  t.is(checkHistory(at(6)).verdict, 'not-linearizable');
});

test('checkHistory: a history without operations is right', (t) => {
  const verdict = checkHistory(historyOf([]));
  t.like(verdict, { verdict: 'linearizable', operations: 0, partition: null });
});
