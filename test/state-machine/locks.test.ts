import test from 'ava';
import { GRANTS_PER_SESSION_MAX, WAITERS_PER_LOCK_MAX } from '#core/base/limits.ts';
import { acquire, Driver, done, refusal } from './kit.ts';

function withSessions(count: number): { driver: Driver; sessions: number[] } {
  const driver = new Driver();
  return { driver, sessions: Array.from({ length: count }, () => driver.open()) };
}

test('Locks.acquire: a free lock is granted with a new token and the ttl that was asked', (t) => {
  const { driver, sessions } = withSessions(1);
  t.deepEqual(driver.acquire(sessions[0]!, 'a', { ttlMs: 1_234 }), done(1, 1_234));
  t.deepEqual(driver.effects.granted, [
    { session: 1, owner: 1, lock: 'a', token: 1, mode: 'exclusive', depth: 1, ttlMs: 1_234 },
  ]);
  t.deepEqual(driver.acquire(sessions[0]!, 'b'), done(2, 2_000));
});

test('Locks.acquire: shared holders stand beside each other, each with its own token', (t) => {
  const { driver, sessions } = withSessions(3);
  t.is(driver.hold(sessions[0]!, 'a', { mode: 'shared' }), 1);
  t.is(driver.hold(sessions[1]!, 'a', { mode: 'shared' }), 2);
  t.is(driver.acquire(sessions[2]!, 'a'), null);
  t.is(driver.machine.holderOf('a'), null);
  t.is(driver.machine.lock('a')?.grants.length, 2);
});

test('Locks.acquire: a shared request waits behind a queued exclusive one', (t) => {
  const { driver, sessions } = withSessions(4);
  const [first, second, third, fourth] = sessions as [number, number, number, number];
  const token = driver.hold(first, 'a', { mode: 'shared' });
  t.is(driver.acquire(second, 'a'), null);
  t.is(driver.acquire(third, 'a', { mode: 'shared' }), null);
  t.is(driver.acquire(fourth, 'a', { mode: 'shared' }), null);
  driver.release(first, 'a', token);
  t.is(driver.machine.holderOf('a')?.session, second);
  driver.release(second, 'a', 2);
  // Both shared ones at once, in the order in which they came.
  t.deepEqual(
    driver.effects.granted.map(({ session, token }) => [session, token]),
    [
      [third, 3],
      [fourth, 4],
    ],
  );
});

test('Locks.acquire: an exclusive request behind an exclusive holder is first come first served', (t) => {
  const { driver, sessions } = withSessions(5);
  let token = driver.hold(sessions[0]!, 'a');
  for (const session of sessions.slice(1)) t.is(driver.acquire(session, 'a'), null);
  for (const [place, session] of sessions.entries()) {
    t.is(driver.machine.holderOf('a')?.session, session);
    driver.release(session, 'a', token);
    token = place + 2;
  }
  t.is(driver.machine.lock('a'), null);
});

test('Locks.acquire: the same owner re-enters in the same or a weaker mode past the queue, same token', (t) => {
  const { driver, sessions } = withSessions(2);
  const token = driver.hold(sessions[0]!, 'a', { ttlMs: 3_000 });
  driver.acquire(sessions[1]!, 'a');
  t.deepEqual(driver.acquire(sessions[0]!, 'a', { ttlMs: 9_000 }), done(token, 3_000));
  t.deepEqual(driver.acquire(sessions[0]!, 'a', { mode: 'shared' }), done(token, 3_000));
  t.is(driver.effects.granted[0]?.depth, 3);
  t.is(driver.effects.granted[0]?.mode, 'exclusive');
  t.deepEqual(driver.release(sessions[0]!, 'a', token), done(2));
  t.deepEqual(driver.release(sessions[0]!, 'a', token), done(1));
  t.deepEqual(driver.effects.ended, []);
  t.deepEqual(driver.release(sessions[0]!, 'a', token), done(0));
  t.is(driver.machine.holderOf('a')?.session, sessions[1]);
});

test('Locks.acquire: another owner of the same session is another holder', (t) => {
  const { driver, sessions } = withSessions(1);
  driver.hold(sessions[0]!, 'a', { owner: 1 });
  t.is(driver.acquire(sessions[0]!, 'a', { owner: 2 }), null);
});

test('Locks.acquire: a shared holder that asks for exclusive is refused with code 4, even alone', (t) => {
  const { driver, sessions } = withSessions(1);
  const token = driver.hold(sessions[0]!, 'a', { mode: 'shared' });
  t.deepEqual(driver.acquire(sessions[0]!, 'a'), refusal(4, 'shared-holder-asks-exclusive'));
  t.deepEqual(driver.acquire(sessions[0]!, 'a', { mode: 'shared' }), done(token, 2_000));
});

test('Locks.acquire: an owner that already waits is refused with code 4 and keeps its place', (t) => {
  const { driver, sessions } = withSessions(2);
  const token = driver.hold(sessions[0]!, 'a');
  driver.acquire(sessions[1]!, 'a');
  t.deepEqual(driver.acquire(sessions[1]!, 'a'), refusal(4, 'already-waiting'));
  driver.release(sessions[0]!, 'a', token);
  t.is(driver.machine.holderOf('a')?.session, sessions[1]);
});

test('Locks.acquire: without waiting, a lock that is not free is code 2 with the exclusive token or 0', (t) => {
  const { driver, sessions } = withSessions(3);
  const [first, second, third] = sessions as [number, number, number];
  const token = driver.hold(first, 'a');
  t.deepEqual(driver.acquire(second, 'a', { wait: false }), refusal(2, 'lock-is-held', token));
  driver.hold(first, 'b', { mode: 'shared' });
  t.deepEqual(driver.acquire(second, 'b', { wait: false }), refusal(2, 'lock-is-held', 0));
  t.is(driver.acquire(second, 'b', { mode: 'shared', wait: false })?.code, 0);
  // A shared try would fit the holders, but somebody waits before it.
  driver.acquire(third, 'b');
  t.deepEqual(
    driver.acquire(third, 'b', { owner: 2, mode: 'shared', wait: false }),
    refusal(2, 'lock-is-held', 0),
  );
  t.deepEqual(driver.effects.queued, []);
  t.is(driver.acquire(third, 'c', { wait: false })?.code, 0);
});

test('Locks.acquire: a ttl of 0 or above an hour is code 4', (t) => {
  const { driver, sessions } = withSessions(1);
  for (const ttlMs of [0, 3_600_001]) {
    t.deepEqual(driver.acquire(sessions[0]!, 'a', { ttlMs }), refusal(4, 'bad-ttl'));
  }
  t.is(driver.acquire(sessions[0]!, 'a', { ttlMs: 3_600_000 })?.code, 0);
  t.deepEqual(driver.acquire(sessions[0]!, 'b', { resendMs: 0 }), refusal(4, 'bad-ttl'));
  t.deepEqual(driver.acquire(sessions[0]!, 'b', { owner: 0 }), refusal(4, 'malformed'));
});

test('Locks: tokens come from one counter and are not reset when a lock is forgotten', (t) => {
  const { driver, sessions } = withSessions(1);
  for (let token = 1; token <= 4; token++) {
    const lock = token % 2 === 0 ? 'a' : 'b';
    t.is(driver.hold(sessions[0]!, lock), token);
    driver.release(sessions[0]!, lock, token);
    t.is(driver.machine.counts.locks, 0);
  }
});

test('Locks.release: a stale token, of a free lock and of a held one, is code 2 with the current token or 0', (t) => {
  const { driver, sessions } = withSessions(1);
  t.deepEqual(driver.release(sessions[0]!, 'a', 7), refusal(2, 'token-not-current', 0));
  driver.hold(sessions[0]!, 'a');
  t.deepEqual(driver.release(sessions[0]!, 'a', 7), refusal(2, 'token-not-current', 1));
  driver.hold(sessions[0]!, 'b');
  // Current, but of another lock.
  t.deepEqual(driver.release(sessions[0]!, 'a', 2), refusal(2, 'token-not-current', 1));
});

test('Locks.expire: exactly the named current grants end, if the term is that of the entry', (t) => {
  const { driver, sessions } = withSessions(3);
  const [first, second, third] = sessions as [number, number, number];
  const one = driver.hold(first, 'a', { mode: 'shared' });
  const two = driver.hold(second, 'a', { mode: 'shared' });
  driver.acquire(third, 'a');
  driver.term = 5;
  const stale = driver.apply({
    type: 'expire',
    term: 4,
    grants: [{ lock: 'a', token: one }],
    silent: [],
  });
  t.false(stale.executed);
  t.deepEqual(stale.ended, []);
  t.false(driver.expire('b', one).executed);
  t.false(driver.expire('a', 99).executed);
  t.true(driver.expire('a', one).executed);
  t.deepEqual(driver.effects.ended, [{ lock: 'a', token: one, cause: 'expired' }]);
  // The other shared holder is still there.
  t.deepEqual(driver.effects.granted, []);
  driver.expire('a', two);
  t.is(driver.machine.holderOf('a')?.session, third);
  t.false(driver.expire('a', two).executed);
});

test('Locks.expire: one command ends grants of many locks and passes each on', (t) => {
  const { driver, sessions } = withSessions(2);
  const [first, second] = sessions as [number, number];
  const grants = ['a', 'b', 'c'].map((lock) => ({ lock, token: driver.hold(first, lock) }));
  driver.run(second, acquire('c', { owner: 1 }));
  driver.run(second, acquire('a', { owner: 2 }));
  driver.apply({ type: 'expire', term: 1, grants, silent: [] });
  t.is(driver.effects.ended.length, 3);
  t.deepEqual(
    driver.effects.granted.map(({ lock, session }) => [lock, session]),
    [
      ['a', second],
      ['c', second],
    ],
  );
  t.is(driver.machine.counts.locks, 2);
});

test('Locks.expire: a lease that ends loses every depth', (t) => {
  const { driver, sessions } = withSessions(1);
  const token = driver.hold(sessions[0]!, 'a');
  driver.acquire(sessions[0]!, 'a');
  driver.expire('a', token);
  t.is(driver.machine.lock('a'), null);
});

test('Locks: silent waiters are passed over by the entry that passes the lock on, and only then', (t) => {
  const { driver, sessions } = withSessions(3);
  const [first, second, third] = sessions as [number, number, number];
  const token = driver.hold(first, 'a');
  driver.acquire(first, 'a');
  const silentSequence = driver.next(second);
  driver.acquire(second, 'a');
  driver.acquire(third, 'a');
  const silent = [{ lock: 'a', session: second, owner: 1 }];
  const release = { type: 'release', lock: 'a', owner: 1, token } as const;
  // Depth 2 to 1: the lock stays, and so does the waiter.
  t.deepEqual(driver.run(first, release, silent), done(1));
  t.is(driver.machine.lock('a')?.waiters.length, 2);
  t.deepEqual(driver.run(first, release, silent), done(0));
  t.deepEqual(driver.answerOf(second, silentSequence), refusal(2, 'waiter-not-heard', 0));
  t.is(driver.machine.holderOf('a')?.session, third);
  t.deepEqual(
    driver.effects.unqueued.map(({ session }) => session),
    [second, third],
  );
  t.deepEqual(driver.machine.requestState(second, silentSequence, 1), {
    type: 'answered',
    answer: refusal(2, 'waiter-not-heard', 0),
  });
});

test('Locks: a silent waiter that is not there, or of another lock, is no matter', (t) => {
  const { driver, sessions } = withSessions(2);
  const [first, second] = sessions as [number, number];
  const a = driver.hold(first, 'a');
  driver.hold(first, 'b');
  driver.acquire(second, 'b');
  driver.expire('a', a, [
    { lock: 'a', session: 77, owner: 1 },
    { lock: 'b', session: second, owner: 1 },
    { lock: 'c', session: second, owner: 1 },
  ]);
  t.is(driver.machine.lock('b')?.waiters.length, 1);
});

test('Locks.cancel: takes the waiter out, answers its acquire with code 2 and itself with code 0', (t) => {
  const { driver, sessions } = withSessions(2);
  const [first, second] = sessions as [number, number];
  const token = driver.hold(first, 'a');
  const waiting = driver.next(second);
  driver.acquire(second, 'a');
  t.deepEqual(driver.run(second, { type: 'cancel', lock: 'a', owner: 1 }), done());
  t.deepEqual(driver.answerOf(second, waiting), refusal(2, 'wait-cancelled', token));
  t.is(driver.machine.counts.waiters, 0);
  // It can wait again.
  t.is(driver.acquire(second, 'a'), null);
});

test('Locks.cancel: of a wait that was granted already is code 1 with the token, of nothing code 1 with 0', (t) => {
  const { driver, sessions } = withSessions(2);
  const [first, second] = sessions as [number, number];
  driver.hold(first, 'a');
  driver.acquire(second, 'a');
  driver.release(first, 'a', 1);
  t.deepEqual(driver.run(second, { type: 'cancel', lock: 'a', owner: 1 }), refusal(1, 'no-such-lock', 2));
  t.deepEqual(driver.run(first, { type: 'cancel', lock: 'a', owner: 1 }), refusal(1, 'no-such-lock'));
  t.deepEqual(driver.run(first, { type: 'cancel', lock: 'z', owner: 1 }), refusal(1, 'no-such-lock'));
});

test("Locks.cancel: of the queue's head lets those behind in that fit", (t) => {
  const { driver, sessions } = withSessions(4);
  const [first, second, third, fourth] = sessions as [number, number, number, number];
  driver.hold(first, 'a', { mode: 'shared' });
  driver.acquire(second, 'a');
  driver.acquire(third, 'a', { mode: 'shared' });
  driver.acquire(fourth, 'a');
  driver.run(second, { type: 'cancel', lock: 'a', owner: 1 });
  t.deepEqual(
    driver.effects.granted.map(({ session }) => session),
    [third],
  );
  t.deepEqual(
    driver.machine.lock('a')?.waiters.map(({ session }) => session),
    [fourth],
  );
});

test('Locks.endSession: its grants end, its waiters go, others are granted', (t) => {
  const { driver, sessions } = withSessions(3);
  const [first, second, third] = sessions as [number, number, number];
  const token = driver.hold(first, 'a');
  driver.acquire(second, 'a');
  driver.hold(second, 'b');
  driver.acquire(first, 'b');
  driver.acquire(third, 'b');
  driver.apply({ type: 'end-session', session: first, silent: [] });
  t.deepEqual(driver.effects.ended, [{ lock: 'a', token, cause: 'session-ended' }]);
  t.deepEqual(driver.effects.endedSessions, [first]);
  t.is(driver.machine.holderOf('a')?.session, second);
  t.deepEqual(
    driver.machine.lock('b')?.waiters.map(({ session }) => session),
    [third],
  );
  t.is(driver.effects.answers.find(({ session }) => session === first)?.answer.code, 7);
});

test('Locks.forceRelease: ends all grants with cause forced; code 1 if nobody holds the lock', (t) => {
  const { driver, sessions } = withSessions(3);
  const [first, second, third] = sessions as [number, number, number];
  driver.hold(first, 'a', { mode: 'shared' });
  driver.hold(second, 'a', { mode: 'shared' });
  driver.acquire(first, 'a', { mode: 'shared' });
  driver.acquire(third, 'a');
  t.deepEqual(driver.run(third, { type: 'force-release', lock: 'a' }), done());
  t.deepEqual(
    driver.effects.ended.map(({ cause }) => cause),
    ['forced', 'forced'],
  );
  t.is(driver.machine.holderOf('a')?.session, third);
  t.deepEqual(driver.run(third, { type: 'force-release', lock: 'b' }), refusal(1, 'no-such-lock'));
});

test('Machine: walks over grants and waiters say what is there, and nothing of what is not', (t) => {
  const { driver, sessions } = withSessions(2);
  const [first, second] = sessions as [number, number];
  driver.hold(first, 'a', { mode: 'shared' });
  driver.hold(first, 'b');
  driver.acquire(second, 'a');
  driver.acquire(first, 'a', { owner: 2, mode: 'shared' });
  const { machine } = driver;
  t.deepEqual([...machine.grants('a')], machine.lock('a')?.grants);
  t.deepEqual(
    Array.from(machine.waiters('a'), ({ session, owner }) => [session, owner]),
    [
      [second, 1],
      [first, 2],
    ],
  );
  t.deepEqual(
    Array.from(machine.grantsOf(first), ({ lock }) => lock),
    ['a', 'b'],
  );
  t.deepEqual(
    Array.from(machine.locks(), ({ lock }) => lock),
    ['a', 'b'],
  );
  t.deepEqual([...machine.grants('z'), ...machine.waiters('z'), ...machine.grantsOf(99)], []);
});

test('Machine.locksAfter: in the order of code units, by pages', (t) => {
  const { driver, sessions } = withSessions(1);
  for (const lock of ['b', 'a', 'file_2', 'file_10', 'Z']) driver.hold(sessions[0]!, lock);
  const first = driver.machine.locksAfter('', 2);
  t.deepEqual([first.locks.map(({ lock }) => lock), first.more], [['Z', 'a'], true]);
  const second = driver.machine.locksAfter('a', 3);
  t.deepEqual([second.locks.map(({ lock }) => lock), second.more], [['b', 'file_10', 'file_2'], false]);
});

test('Locks: a session holds and waits for at most GRANTS_PER_SESSION_MAX, and the next is refused by name', (t) => {
  const driver = new Driver({ check: false });
  const session = driver.open();
  for (let owner = 1; owner <= GRANTS_PER_SESSION_MAX; owner++) {
    driver.run(session, acquire('a', { owner, mode: 'shared' }));
  }
  t.is(driver.machine.counts.grants, GRANTS_PER_SESSION_MAX);
  t.deepEqual(driver.acquire(session, 'b'), refusal(4, 'too-many-grants'));
  t.is(driver.acquire(driver.open(), 'b')?.code, 0);
  driver.release(session, 'a', 1, 1);
  t.is(driver.acquire(session, 'b'), null);
});

test('Locks: a lock has at most WAITERS_PER_LOCK_MAX waiters; middle, end of session and passing on stay quick', (t) => {
  const driver = new Driver({ check: false });
  const holder = driver.open();
  const token = driver.hold(holder, 'a');
  const sessions = Array.from({ length: WAITERS_PER_LOCK_MAX / 20 }, () => driver.open());
  for (const session of sessions) {
    for (let owner = 1; owner <= 20; owner++) {
      const sequence = driver.next(session);
      t.is(driver.run(session, acquire('a', { owner })), null, `request ${sequence}`);
    }
  }
  t.is(driver.machine.counts.waiters, WAITERS_PER_LOCK_MAX);
  t.deepEqual(driver.acquire(holder, 'a', { owner: 2 }), refusal(4, 'too-many-waiters'));
  // Every second owner cancels, from the middle outwards, and a tenth of the sessions end.
  for (const session of [...sessions].reverse()) {
    for (let owner = 2; owner <= 20; owner += 2) driver.run(session, { type: 'cancel', lock: 'a', owner });
  }
  t.is(driver.machine.counts.waiters, WAITERS_PER_LOCK_MAX / 2);
  for (const session of sessions.slice(0, sessions.length / 10)) {
    driver.apply({ type: 'end-session', session, silent: [] });
  }
  t.is(driver.machine.counts.waiters, (WAITERS_PER_LOCK_MAX / 2) * 0.9);
  driver.release(holder, 'a', token);
  for (;;) {
    const grant = driver.machine.holderOf('a');
    if (grant === null) break;
    driver.expire('a', grant.token);
  }
  t.is(driver.machine.counts.tokensIssued, 1 + (WAITERS_PER_LOCK_MAX / 2) * 0.9);
});
