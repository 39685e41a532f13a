import test from 'ava';
import { crc32c } from '#core/base/crc32c.ts';
import { LOGS_MAX } from '#core/base/limits.ts';
import { Driver, done, refusal } from './kit.ts';

function withLog(guard: string | null): { driver: Driver; session: number } {
  const driver = new Driver();
  const session = driver.open();
  driver.run(session, { type: 'create-log', log: 'l', guard });
  return { driver, session };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('Logs.create: answers the id from a counter; an existing name is code 6', (t) => {
  const { driver, session } = withLog('g');
  t.deepEqual(driver.run(session, { type: 'create-log', log: 'm', guard: null }), done(2));
  t.deepEqual(driver.effects.files, [{ type: 'create', id: 2, name: 'm' }]);
  t.deepEqual(driver.run(session, { type: 'create-log', log: 'm', guard: null }), refusal(6, 'log-exists'));
  t.deepEqual(driver.effects.files, []);
  t.is(driver.machine.logById(2)?.name, 'm');
});

test('Logs.delete: the log goes, a log of the same name is a new one; a missing one is code 1', (t) => {
  const { driver, session } = withLog(null);
  driver.append(session, 'l', 'x');
  t.deepEqual(driver.run(session, { type: 'delete-log', log: 'l' }), done());
  t.deepEqual(driver.effects.files, [{ type: 'delete', id: 1, name: 'l' }]);
  t.deepEqual(driver.effects.changedLogs, ['l']);
  t.deepEqual(driver.run(session, { type: 'delete-log', log: 'l' }), refusal(1, 'no-such-log'));
  t.deepEqual(driver.append(session, 'l', 'x'), refusal(1, 'no-such-log'));
  t.deepEqual(driver.run(session, { type: 'create-log', log: 'l', guard: null }), done(2));
  t.deepEqual(driver.append(session, 'l', 'x'), done(0));
  t.is(driver.machine.logById(1), null);
});

test('Logs.append: offsets count records, bytes add up and the chain goes on', (t) => {
  const { driver, session } = withLog(null);
  t.deepEqual(driver.append(session, 'l', 'ab'), done(0));
  t.deepEqual(driver.append(session, 'l', 'c'), done(1));
  const chain = crc32c(bytes('abc'));
  t.deepEqual(driver.effects.files, [{ type: 'append', id: 1, offset: 1, data: bytes('c'), chain }]);
  t.deepEqual(driver.machine.log('l'), {
    id: 1,
    name: 'l',
    guard: null,
    start: 0,
    count: 2,
    bytes: 3,
    chain,
  });
});

test('Logs.append: a guarded log without a fence is code 2 token-required', (t) => {
  const { driver, session } = withLog('g');
  t.deepEqual(driver.append(session, 'l', 'x'), refusal(2, 'token-required', 0));
  t.false(driver.effects.refusedAppend);
  const token = driver.hold(session, 'g');
  t.deepEqual(driver.append(session, 'l', 'x'), refusal(2, 'token-required', token));
  t.deepEqual(driver.effects.files, []);
});

test('Logs.append: a fence of another lock than the guard is code 4', (t) => {
  const { driver, session } = withLog('g');
  const token = driver.hold(session, 'h');
  t.deepEqual(driver.append(session, 'l', 'x', { lock: 'h', token }), refusal(4, 'not-guarded-by-this-lock'));
});

test('Logs.append: the current exclusive token appends, from whatever session', (t) => {
  const { driver, session } = withLog('g');
  const stranger = driver.open();
  const token = driver.hold(session, 'g');
  t.deepEqual(driver.append(stranger, 'l', 'x', { lock: 'g', token }), done(0));
});

test("Logs.append: a shared grant's token is code 2 token-is-shared", (t) => {
  const { driver, session } = withLog('g');
  const token = driver.hold(session, 'g', { mode: 'shared' });
  t.deepEqual(driver.append(session, 'l', 'x', { lock: 'g', token }), refusal(2, 'token-is-shared'));
  t.deepEqual(driver.append(session, 'l', 'x', { lock: 'g', token: 9 }), refusal(2, 'token-not-current'));
});

test('Logs.append: tokens 0, too old, too new and of another lock are code 2 token-not-current', (t) => {
  const { driver, session } = withLog('g');
  driver.release(session, 'g', driver.hold(session, 'g'));
  const current = driver.hold(session, 'g');
  const other = driver.hold(session, 'h');
  for (const token of [0, current - 1, current + 5, other]) {
    t.deepEqual(
      driver.append(session, 'l', 'x', { lock: 'g', token }),
      refusal(2, 'token-not-current', current),
    );
    t.true(driver.effects.refusedAppend);
    t.deepEqual(driver.effects.files, []);
  }
  driver.release(session, 'g', current);
  for (const token of [0, current]) {
    t.deepEqual(driver.append(session, 'l', 'x', { lock: 'g', token }), refusal(2, 'token-not-current', 0));
  }
});

test('Logs.append: a log without guard takes no fence, and one that is given must hold', (t) => {
  const { driver, session } = withLog(null);
  t.deepEqual(driver.append(session, 'l', 'x'), done(0));
  t.deepEqual(driver.append(session, 'l', 'x', { lock: 'g', token: 1 }), refusal(2, 'token-not-current'));
  const token = driver.hold(session, 'g');
  t.deepEqual(driver.append(session, 'l', 'x', { lock: 'g', token }), done(1));
});

test('Logs.trim: records below go; below the start nothing happens; above the count is code 4', (t) => {
  const { driver, session } = withLog(null);
  const trim = (before: number) => driver.run(session, { type: 'trim-log', log: 'l', before });
  for (const data of ['a', 'b', 'c']) driver.append(session, 'l', data);
  t.deepEqual(trim(2), done());
  t.deepEqual(driver.effects.files, [{ type: 'trim', id: 1, before: 2 }]);
  t.deepEqual(trim(1), done());
  t.deepEqual(driver.effects.files, []);
  t.deepEqual(trim(4), refusal(4, 'bad-range'));
  t.deepEqual(trim(3), done());
  const { start, count, bytes: size } = driver.machine.log('l')!;
  t.deepEqual({ start, count, size }, { start: 3, count: 3, size: 3 });
  t.deepEqual(driver.append(session, 'l', 'd'), done(3));
  t.deepEqual(driver.run(session, { type: 'trim-log', log: 'm', before: 0 }), refusal(1, 'no-such-log'));
});

test('Machine.logsAfter: in the order of code units, file_10 before file_2, by pages', (t) => {
  const driver = new Driver();
  driver.apply({ type: 'bootstrap', files: 12 });
  const first = driver.machine.logsAfter('', 4);
  t.deepEqual(
    [first.logs.map(({ name }) => name), first.more],
    [['file_0', 'file_1', 'file_10', 'file_11'], true],
  );
  const rest = driver.machine.logsAfter('file_11', 100);
  t.is(rest.logs.length, 8);
  t.is(rest.logs[0]?.name, 'file_2');
  t.false(rest.more);
});

test('Logs.create: the log after LOGS_MAX is refused by name, and allowed when one is deleted', (t) => {
  const driver = new Driver({ check: false });
  driver.apply({ type: 'bootstrap', files: LOGS_MAX });
  const session = driver.open();
  const create = { type: 'create-log', log: 'one-more', guard: null } as const;
  t.deepEqual(driver.run(session, create), refusal(4, 'too-many-logs'));
  driver.run(session, { type: 'delete-log', log: 'file_5' });
  t.is(driver.run(session, create)?.code, 0);
});
