// Reading histories: every line of the format is taken, everything else is refused with its line and what is wrong.

import test from 'ava';
import { HISTORY_BYTES_MAX } from '#core/base/limits.ts';
import { HistoryError, HistoryReader, readHistory } from '#core/sim/index.ts';
import { type Line, line, lostLine } from './history-kit.ts';

const right: readonly Line[] = [
  line(0, ['acquire', 'files', { shared: false, owner: 'a', depth: 1 }], [0, 1], { result: { token: 7 } }),
  line(0, ['append', 'file_7', { data: 'x', lock: 'files', token: 7 }], [2, 3], { result: { offset: 3 } }),
  line(0, ['append', 'audit', { data: 'x', lock: null, token: null }], [2, null]),
  line(1, ['read', 'file_7', { from: 0, limit: 10 }], [2, 3], { result: [{ offset: 0, data: 'x' }] }),
  line(0, ['release', 'files', { token: 7 }], [4, 5], { code: 2 }),
  line(2, ['put', 'x', 'v'], [0, 1]),
  line(2, ['get', 'x', null], [2, 3], { result: 'v' }),
  line(2, ['cas', 'x', { expect: null, value: 'b' }], [4, 5], { code: 6 }),
  line(2, ['delete', 'x', null], [6, null]),
  lostLine(0, 'files', 7, 4),
];

test('readHistory: takes a line of every kind, and empty lines', (t) => {
  const { operations, lost, truncated } = readHistory([
    ...right.map((each) => JSON.stringify(each)),
    '',
    ' ',
  ]);
  t.is(operations.length, right.length - 1);
  t.is(lost.length, 1);
  t.false(truncated);
  t.deepEqual(
    operations.map(({ outcome }) => outcome),
    ['done', 'done', 'unknown', 'done', 'refused', 'done', 'done', 'refused', 'unknown'],
  );
  t.like(operations[1], { line: 2, client: 0, key: 'file_7', invoke: 2e6, complete: 3e6, code: 0 });
  t.deepEqual(operations[1]?.action, { type: 'append', data: 'x', lock: 'files', token: 7, offset: 3 });
  t.is(operations[2]?.complete, Number.POSITIVE_INFINITY);
});

test('readHistory: what may be left out has its usual value', (t) => {
  const { operations } = readHistory([
    JSON.stringify(line(4, ['acquire', 'l', {}], [0, 1], { result: { token: 0 } })),
    JSON.stringify(line(4, ['read', 'l', null], [0, 1], { result: [] })),
    JSON.stringify(line(4, ['append', 'l', { data: '' }], [0, null])),
  ]);
  t.deepEqual(
    operations.map(({ action }) => action),
    [
      { type: 'acquire', shared: false, owner: 'client 4', depth: 1, token: 0 },
      { type: 'read', from: 0, limit: null, records: [] },
      { type: 'append', data: '', lock: null, token: null, offset: null },
    ],
  );
});

test('readHistory: times far from zero stay exact to the nanosecond', (t) => {
  const at = (ns: string, next: string) => ({ ...right[5], invokeNs: ns, completeNs: next });
  const { operations } = readHistory([JSON.stringify(at('9007199254740993123', '9007199254740993124'))]);
  t.is(operations[0]?.invoke, 0);
  t.is(operations[0]?.complete, 1);
});

test('readHistory: bytes in base64 are not the text of the same letters', (t) => {
  const { operations } = readHistory([
    JSON.stringify(line(0, ['append', 'l', { data: 'eA==', encoding: 'base64' }], [0, null])),
    JSON.stringify(line(0, ['append', 'l', { data: 'eA==' }], [0, null])),
  ]);
  const [a, b] = operations.map(({ action }) => (action.type === 'append' ? action.data : null));
  t.not(a, b);
});

const acquire = right[0] as Line;
const append = right[1] as Line;
const unknown = right[2] as Line;
const read = right[3] as Line;
const release = right[4] as Line;
const put = right[5] as Line;
const get = right[6] as Line;
const cas = right[7] as Line;
const lost = right[9] as Line;

const wrong: readonly (readonly [string, unknown, RegExp])[] = [
  ['no JSON', 'client 3 did something', /is not JSON: client 3/],
  ['half a line', '{"client":3,', /is not JSON/],
  ['a list', [], /must be a JSON object, not \[\]/],
  ['null', null, /must be a JSON object, not null/],
  ['an unknown operation', { ...put, op: 'increment' }, /"op" must be one of acquire, .* not "increment"/],
  ['no operation', { ...put, op: undefined }, /"op" must be .* not nothing/],
  ['a client without number', { ...put, client: 'a' }, /"client" must be a whole number from 0, not "a"/],
  ['a negative client', { ...put, client: -1 }, /"client" must be/],
  ['no key', { ...put, key: null }, /"key" must be a text, not null/],
  ['a time that is a number', { ...put, invokeNs: 12 }, /"invokeNs" must be nanoseconds as a text/],
  ['a time with a fraction', { ...put, completeNs: '1.5' }, /"completeNs" must be nanoseconds/],
  ['a negative time', { ...put, invokeNs: '-1' }, /"invokeNs" must be/],
  ['an end before the beginning', { ...put, invokeNs: '9', completeNs: '8' }, /"completeNs" lies before/],
  ['no word on being definite', { ...put, definite: undefined }, /"definite" must be true or false/],
  ['an unknown outcome with an end', { ...unknown, completeNs: '5' }, /"completeNs" must be null where/],
  ['an unknown outcome with a code', { ...unknown, code: 0 }, /"code" must be null where/],
  ['an unknown outcome with a result', { ...unknown, result: {} }, /"result" must be null where/],
  ['a definite outcome without an end', { ...put, completeNs: null }, /"completeNs" is null, so/],
  ['a definite outcome without a code', { ...put, code: null }, /"code" must be a return code/],
  ['a code with a fraction', { ...put, code: 0.5 }, /"code" must be a return code/],
  ['code 3, which is no outcome', { ...put, code: 3 }, /code 3 means in progress/],
  ['a put of a number', { ...put, arg: 1 }, /"arg" must be a text, not 1/],
  ['a get of a list', { ...get, result: [] }, /"result" must be a text or null/],
  ['a cas without value', { ...cas, arg: { expect: 'a' } }, /"arg.value" must be a text, not nothing/],
  ['a cas of a number', { ...cas, arg: { expect: 1, value: 'a' } }, /"arg.expect" must be a text or null/],
  ['an acquire without arg', { ...acquire, arg: null }, /"arg" must be a JSON object/],
  ['an acquire without token', { ...acquire, result: {} }, /"result.token" must be/],
  ['an acquire at depth 0', { ...acquire, arg: { depth: 0 } }, /"arg.depth" must be/],
  ['an acquire that is shared perhaps', { ...acquire, arg: { shared: 1 } }, /"arg.shared" must be/],
  ['an acquire of a list of owners', { ...acquire, arg: { owner: [] } }, /"arg.owner" must be/],
  ['a release without token', { ...release, arg: {} }, /"arg.token" must be/],
  ['an append without data', { ...append, arg: { lock: null } }, /"arg.data" must be a text/],
  ['an append without token', { ...append, arg: { data: 'x', lock: 'l' } }, /"arg.token" is missing/],
  ['an append without lock', { ...append, arg: { data: 'x', token: 7 } }, /without "arg.lock"/],
  ['an append without offset', { ...append, result: null }, /"result" must be a JSON object/],
  ['a token that is not exact', { ...release, arg: { token: 2 ** 53 } }, /"arg.token" must be/],
  ['a read of nothing', { ...read, result: null }, /"result" of a read must be a list/],
  ['a read of bare texts', { ...read, result: ['x'] }, /"result\[0\]" must be a record, not "x"/],
  ['a read without offset', { ...read, result: [{ data: 'x' }] }, /"result\[0\].offset" must be/],
  ['a loss without token', { ...lost, arg: {} }, /"arg.token" must be/],
  ['a loss without time', { ...lost, heldUntilNs: null }, /"heldUntilNs" must be/],
];

for (const [name, json, says] of wrong) {
  test(`readHistory: refuses ${name}`, (t) => {
    const text = typeof json === 'string' ? json : JSON.stringify(json);
    const error = t.throws(() => readHistory([JSON.stringify(put), text]), { instanceOf: HistoryError });
    t.regex(error?.message ?? '', says);
    t.regex(error?.message ?? '', /^line 2: /);
  });
}

test('readHistory: times of two clocks are refused', (t) => {
  const later = { ...put, invokeNs: '0', completeNs: '99999999999999999999' };
  t.throws(() => readHistory([JSON.stringify(later)]), { message: /is it the same clock/ });
});

test('HistoryReader: takes no more than it may hold, and says so', (t) => {
  const reader = new HistoryReader();
  const long = JSON.stringify({ ...put, arg: 'v'.repeat(HISTORY_BYTES_MAX / 4) });
  t.deepEqual(
    [1, 2, 3, 4].map(() => reader.add(long)),
    [true, true, true, false],
  );
  t.true(reader.finish().truncated);
});
