import test from 'ava';
import { SESSION_WINDOW, SESSIONS_MAX } from '#core/base/limits.ts';
import type { Operation } from '#core/state-machine/commands.ts';
import { acquire, Driver, done, nonce, refusal } from './kit.ts';

function put(value: string): Operation {
  return { type: 'kv-put', key: 'k', value };
}

function request(
  driver: Driver,
  numbers: { session: number; sequence: number; answeredBelow: number },
  operation: Operation,
) {
  return driver.apply({ type: 'request', ...numbers, operation, silent: [] });
}

test('Sessions.open: sessions are numbered by a counter that is not reset', (t) => {
  const driver = new Driver();
  t.is(driver.open(), 1);
  driver.apply({ type: 'end-session', session: 1, silent: [] });
  t.is(driver.open(), 2);
});

test('Sessions.open: a repeated open gives the same session while it lives, and a new one after that', (t) => {
  const driver = new Driver();
  const open = { type: 'open-session', nonce: nonce(1), profile: 'default' } as const;
  t.true(driver.apply(open).executed);
  const repeated = driver.apply(open);
  t.false(repeated.executed);
  t.deepEqual(repeated.opened, { nonce: nonce(1), session: 1 });
  t.is(driver.machine.openedBy(nonce(1)), 1);
  driver.apply({ type: 'end-session', session: 1, silent: [] });
  t.is(driver.machine.openedBy(nonce(1)), null);
  t.is(driver.apply(open).opened?.session, 2);
});

test('Sessions.open: a nonce that is not 32 lower-case hexadecimal digits is refused', (t) => {
  const driver = new Driver();
  for (const wrong of ['', 'f'.repeat(31), 'f'.repeat(33), 'F'.repeat(32), 'g'.repeat(32)]) {
    const effects = driver.apply({ type: 'open-session', nonce: wrong, profile: 'default' });
    t.is(effects.openRefused, 'malformed');
    t.is(effects.opened, null);
  }
});

test('Sessions.open: at SESSIONS_MAX a new one is refused and none is evicted; a repeated open still works', (t) => {
  const driver = new Driver({ check: false });
  for (let count = 0; count < SESSIONS_MAX; count++) driver.open();
  const refused = driver.apply({ type: 'open-session', nonce: 'f'.repeat(32), profile: 'default' });
  t.is(refused.openRefused, 'too-many-sessions');
  t.is(refused.opened, null);
  t.is(driver.machine.counts.sessions, SESSIONS_MAX);
  t.is(driver.apply({ type: 'open-session', nonce: nonce(1), profile: 'default' }).opened?.session, 1);
  driver.apply({ type: 'end-session', session: 77, silent: [] });
  t.is(driver.open(), SESSIONS_MAX + 1);
});

test('Sessions.requestState: unseen requests of the window are new in any order', (t) => {
  const driver = new Driver();
  const session = driver.open();
  for (const sequence of [32, 1, 17]) {
    t.deepEqual(driver.machine.requestState(session, sequence, 1), { type: 'unseen' });
    t.true(request(driver, { session, sequence, answeredBelow: 1 }, put('v')).executed);
  }
  t.is(driver.machine.kv.revision, 3);
});

test('Sessions.requestState: an answered request gets the same answer, whatever is asked the second time', (t) => {
  const driver = new Driver();
  const session = driver.open();
  const numbers = { session, sequence: 1, answeredBelow: 1 };
  request(driver, numbers, put('first'));
  const effects = request(driver, numbers, put('second'));
  t.false(effects.executed);
  t.deepEqual(effects.answers, []);
  t.deepEqual(driver.machine.requestState(session, 1, 1), { type: 'answered', answer: done(1) });
  t.is(driver.machine.kv.get('k')?.value, 'first');
});

test('Sessions.requestState: a waiting acquire is pending, and its repetition executes nothing', (t) => {
  const driver = new Driver();
  const [first, second] = [driver.open(), driver.open()];
  driver.hold(first, 'a');
  driver.acquire(second, 'a');
  t.deepEqual(driver.machine.requestState(second, 1, 1), { type: 'pending' });
  t.false(request(driver, { session: second, sequence: 1, answeredBelow: 1 }, acquire('a')).executed);
  t.is(driver.machine.counts.waiters, 1);
});

test('Sessions.requestState: above the window is refused, and the last place in it is not', (t) => {
  const driver = new Driver();
  const session = driver.open();
  t.is(driver.machine.requestState(session, SESSION_WINDOW, 1).type, 'unseen');
  t.is(driver.machine.requestState(session, SESSION_WINDOW + 1, 1).type, 'above');
  t.is(driver.machine.requestState(session, SESSION_WINDOW + 1, 2).type, 'unseen');
  t.false(request(driver, { session, sequence: 33, answeredBelow: 1 }, put('v')).executed);
});

test('Sessions.requestState: answeredBelow only grows, forgets what is below, and those are dropped', (t) => {
  const driver = new Driver();
  const session = driver.open();
  for (let sequence = 1; sequence <= 5; sequence++) {
    request(driver, { session, sequence, answeredBelow: 1 }, put(`${sequence}`));
  }
  request(driver, { session, sequence: 6, answeredBelow: 4 }, put('6'));
  t.is(driver.machine.requestState(session, 3, 1).type, 'below');
  t.is(driver.machine.requestState(session, 4, 1).type, 'answered');
  // A delayed old request says less, and moves nothing back.
  request(driver, { session, sequence: 7, answeredBelow: 1 }, put('7'));
  t.is(driver.machine.session(session)?.answeredBelow, 4);
  t.false(request(driver, { session, sequence: 3, answeredBelow: 1 }, put('old')).executed);
  t.is(driver.machine.kv.get('k')?.value, '7');
});

test('Sessions.requestState: sequence 0 is never executed', (t) => {
  const driver = new Driver();
  const session = driver.open();
  t.is(driver.machine.requestState(session, 0, 0).type, 'below');
  t.false(request(driver, { session, sequence: 0, answeredBelow: 0 }, put('v')).executed);
});

test('Sessions.requestState: a client that claims the answer of a pending request does not lose its place', (t) => {
  const driver = new Driver();
  const [first, second] = [driver.open(), driver.open()];
  const token = driver.hold(first, 'a');
  request(driver, { session: second, sequence: 1, answeredBelow: 1 }, acquire('a'));
  request(driver, { session: second, sequence: 2, answeredBelow: 2 }, put('v'));
  t.deepEqual(driver.machine.requestState(second, 1, 9), { type: 'pending' });
  driver.release(first, 'a', token);
  t.deepEqual(driver.answerOf(second, 1), done(2, 2_000));
  t.is(driver.machine.requestState(second, 1, 2).type, 'below');
});

test('Sessions: a request of an unknown or ended session executes nothing', (t) => {
  const driver = new Driver();
  const session = driver.open();
  t.is(driver.machine.requestState(99, 1, 1).type, 'no-session');
  t.false(request(driver, { session: 99, sequence: 1, answeredBelow: 1 }, put('v')).executed);
  driver.apply({ type: 'end-session', session, silent: [] });
  t.is(driver.machine.requestState(session, 1, 1).type, 'no-session');
  t.false(request(driver, { session, sequence: 1, answeredBelow: 1 }, put('v')).executed);
  t.is(driver.machine.kv.revision, 0);
});

test('Machine.apply: the end of a session that is not there executes nothing', (t) => {
  const driver = new Driver();
  const effects = driver.apply({ type: 'end-session', session: 1, silent: [] });
  t.false(effects.executed);
  t.deepEqual(effects.endedSessions, []);
});

test('Machine.apply: close-session is answered, and what the session held and waited for passes on', (t) => {
  const driver = new Driver();
  const [first, second] = [driver.open(), driver.open()];
  driver.hold(first, 'a');
  driver.acquire(second, 'a');
  driver.hold(second, 'b');
  driver.acquire(first, 'b');
  t.deepEqual(driver.run(first, { type: 'close-session' }), done());
  t.deepEqual(driver.answerOf(first, 2), refusal(7, 'session-unknown'));
  t.deepEqual(driver.effects.endedSessions, [first]);
  t.is(driver.machine.holderOf('a')?.session, second);
  t.is(driver.machine.session(first), null);
  t.deepEqual(driver.machine.sessions(), [second]);
});

test('Machine.session: says what it holds, waits for and keeps', (t) => {
  const driver = new Driver();
  const [first, second] = [driver.open(), driver.open()];
  driver.hold(first, 'a');
  driver.hold(second, 'b');
  driver.acquire(second, 'a');
  const session = driver.machine.session(second);
  t.is(session?.grants[0]?.lock, 'b');
  t.is(session?.waiters[0]?.lock, 'a');
  t.deepEqual(session?.requests, [{ sequence: 2, answer: null }]);
});
