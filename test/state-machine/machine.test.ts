import test from 'ava';
import { Machine } from '#core/state-machine/machine.ts';
import { Driver, done, nonce, refusal } from './kit.ts';

test('Machine.apply: bootstrap creates the files in numeric order, guarded by the lock "files"', (t) => {
  const driver = new Driver();
  const effects = driver.apply({ type: 'bootstrap', files: 100 });
  t.true(effects.executed);
  t.deepEqual(
    effects.files,
    Array.from({ length: 100 }, (_, number) => ({
      type: 'create' as const,
      id: number + 1,
      name: `file_${number}`,
    })),
  );
  t.is(driver.machine.log('file_99')?.guard, 'files');
  t.is(driver.machine.log('file_100'), null);
  t.is(driver.machine.counts.logs, 100);
});

test('Machine.apply: a second bootstrap executes nothing', (t) => {
  const driver = new Driver();
  driver.apply({ type: 'bootstrap', files: 3 });
  const effects = driver.apply({ type: 'bootstrap', files: 5 });
  t.false(effects.executed);
  t.deepEqual(effects.files, []);
  t.is(driver.machine.counts.logs, 3);
});

test('Machine.apply: a bootstrap with more files than logs are allowed executes nothing', (t) => {
  t.false(new Driver().apply({ type: 'bootstrap', files: 10_001 }).executed);
  t.true(new Driver().apply({ type: 'bootstrap', files: 0 }).executed);
});

test('Machine.apply: an index that does not grow is an assertion', (t) => {
  const machine = new Machine();
  const command = { type: 'open-session', nonce: nonce(1), profile: 'default' } as const;
  machine.apply({ index: 5, term: 1, command });
  t.throws(() => machine.apply({ index: 5, term: 1, command }), { message: /command 5 applied after/ });
  t.notThrows(() => machine.apply({ index: 9, term: 1, command }));
});

// --- the coursework's workflow, at the level of the machine ----------------------------------------------------------

function courseworkServer(): { driver: Driver; first: number; second: number } {
  const driver = new Driver();
  driver.apply({ type: 'bootstrap', files: 100 });
  return { driver, first: driver.open(), second: driver.open() };
}

test('coursework: acquire, append, release, and the lock passes to the waiter in the same entry', (t) => {
  const { driver, first, second } = courseworkServer();
  t.deepEqual(driver.acquire(first, 'files'), done(1, 2_000));
  const waiting = driver.next(second);
  t.is(driver.acquire(second, 'files'), null);
  t.deepEqual(driver.machine.requestState(second, waiting, 1), { type: 'pending' });
  t.deepEqual(driver.append(first, 'file_7', 'hello', { lock: 'files', token: 1 }), done(0));
  t.deepEqual(driver.release(first, 'files', 1), done(0));
  t.deepEqual(driver.answerOf(second, waiting), done(2, 2_000));
  t.deepEqual(
    driver.effects.granted.map(({ session, token }) => ({ session, token })),
    [{ session: second, token: 2 }],
  );
  t.deepEqual(driver.append(second, 'file_7', 'world', { lock: 'files', token: 2 }), done(1));
});

test('coursework: holder pauses past its lease while another waits: its append and its release are refused', (t) => {
  const { driver, first, second } = courseworkServer();
  const token = driver.hold(first, 'files');
  driver.acquire(second, 'files');
  driver.expire('files', token);
  t.deepEqual(driver.effects.ended, [{ lock: 'files', token, cause: 'expired' }]);
  t.deepEqual(
    driver.append(first, 'file_0', 'late', { lock: 'files', token }),
    refusal(2, 'token-not-current', 2),
  );
  t.deepEqual(driver.effects.files, []);
  t.deepEqual(driver.effects.changedLogs, []);
  t.true(driver.effects.refusedAppend);
  t.deepEqual(driver.release(first, 'files', token), refusal(2, 'token-not-current', 2));
  t.deepEqual(driver.effects.ended, []);
  t.is(driver.machine.holderOf('files')?.session, second);
  t.is(driver.machine.log('file_0')?.count, 0);
  // The one that lost can acquire again, behind the new holder.
  t.is(driver.acquire(first, 'files'), null);
  driver.release(second, 'files', 2);
  t.is(driver.machine.holderOf('files')?.token, 3);
});

test('coursework: holder pauses past its lease with nobody waiting: its append and its release are accepted', (t) => {
  const { driver, first } = courseworkServer();
  const token = driver.hold(first, 'files');
  // Nobody waits, so the leader proposes no expire; the machine knows no time.
  t.deepEqual(driver.append(first, 'file_0', 'late', { lock: 'files', token }), done(0));
  t.deepEqual(driver.release(first, 'files', token), done(0));
  t.is(driver.machine.log('file_0')?.count, 1);
  t.is(driver.machine.lock('files'), null);
});

test('coursework: release by a stranger is refused and changes nothing', (t) => {
  const { driver, first, second } = courseworkServer();
  const token = driver.hold(first, 'files');
  t.deepEqual(driver.release(second, 'files', token), refusal(2, 'not-this-owner', token));
  t.deepEqual(driver.release(first, 'files', token, 2), refusal(2, 'not-this-owner', token));
  t.is(driver.machine.holderOf('files')?.session, first);
});

test('coursework: append to file_100 is code 1', (t) => {
  const { driver, first } = courseworkServer();
  const token = driver.hold(first, 'files');
  t.deepEqual(driver.append(first, 'file_100', 'x', { lock: 'files', token }), refusal(1, 'no-such-log'));
  t.deepEqual(driver.effects.files, []);
});

for (const [what, name] of [
  ['empty', ''],
  ['65 characters', 'a'.repeat(65)],
  ['a path', '../file_0'],
  ['hidden', '.file_0'],
  ['outside the alphabet', 'file 0'],
  ['a newline at its end', 'file_0\n'],
] as const) {
  test(`coursework: a name that is ${what} is code 4 for logs and locks`, (t) => {
    const { driver, first } = courseworkServer();
    const token = driver.hold(first, 'files');
    const bad = refusal(4, 'bad-name');
    t.deepEqual(driver.append(first, name, 'x', { lock: 'files', token }), bad);
    t.deepEqual(driver.append(first, 'file_0', 'x', { lock: name, token }), bad);
    t.deepEqual(driver.acquire(first, name), bad);
    t.deepEqual(driver.release(first, name, token), bad);
    t.deepEqual(driver.run(first, { type: 'create-log', log: name, guard: null }), bad);
    t.deepEqual(driver.run(first, { type: 'create-log', log: 'fine', guard: name }), bad);
    t.deepEqual(driver.effects.files, []);
  });
}

test('coursework: names of 1 and of 64 characters are accepted', (t) => {
  const { driver, first } = courseworkServer();
  t.is(driver.acquire(first, 'a')?.code, 0);
  t.is(driver.acquire(first, 'a'.repeat(64))?.code, 0);
  t.is(driver.acquire(first, '_-.')?.code, 0);
});

test('coursework: empty data and data above 1 MiB are code 4, 1 byte and 1 MiB are accepted', (t) => {
  const { driver, first } = courseworkServer();
  const fence = { lock: 'files', token: driver.hold(first, 'files') };
  t.deepEqual(driver.append(first, 'file_0', '', fence), refusal(4, 'bad-size'));
  t.deepEqual(driver.append(first, 'file_0', new Uint8Array(1_048_577), fence), refusal(4, 'bad-size'));
  t.deepEqual(driver.effects.files, []);
  t.deepEqual(driver.append(first, 'file_0', new Uint8Array(1), fence), done(0));
  t.deepEqual(driver.append(first, 'file_0', new Uint8Array(1_048_576), fence), done(1));
});

test('coursework: a repeated append gets the first answer and writes nothing again', (t) => {
  const { driver, first } = courseworkServer();
  const fence = { lock: 'files', token: driver.hold(first, 'files') };
  const sequence = driver.next(first);
  const answer = driver.append(first, 'file_0', 'once', fence);
  const effects = driver.apply({
    type: 'request',
    session: first,
    sequence,
    answeredBelow: 1,
    operation: { type: 'append', log: 'file_0', data: new Uint8Array([1]), fence },
    silent: [],
  });
  t.false(effects.executed);
  t.deepEqual(effects.files, []);
  t.deepEqual(driver.machine.requestState(first, sequence, 1), { type: 'answered', answer: answer! });
  t.is(driver.machine.log('file_0')?.count, 1);
});
