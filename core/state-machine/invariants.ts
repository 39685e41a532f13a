/**
 * What must hold of every state of the machine, checked over its image: by tests after every step, and by a machine
 * before it stands on a snapshot. A state that fails was never reached by applying commands.
 */

import { assert } from '../base/assert.ts';
import {
  GRANTS_PER_SESSION_MAX,
  KEYS_MAX,
  KV_CHANGES_KEPT,
  LOGS_MAX,
  SESSION_WINDOW,
  SESSIONS_MAX,
  WAITERS_PER_LOCK_MAX,
} from '../base/limits.ts';
import type { Grant, LogInfo, Waiter } from './commands.ts';
import type { LockImage, MachineImage, SessionImage } from './image.ts';

/** The image itself, and that the machine's own indexes say the same. */
export function checkMachine(machine: {
  image(): MachineImage;
  grant(token: number): Grant | null;
  session(session: number): { grants: Grant[]; waiters: Waiter[] } | null;
  readonly counts: { readonly grants: number; readonly waiters: number; readonly locks: number };
}): void {
  const image = machine.image();
  checkImage(image);
  let grants = 0;
  let waiters = 0;
  for (const lock of image.locks) {
    for (const grant of lock.grants) {
      const known = machine.grant(grant.token);
      assert(known?.lock === lock.lock, `token ${grant.token} is not found`);
      assert(known.owner === grant.owner, `token ${grant.token} is found with another owner`);
    }
    grants += lock.grants.length;
    waiters += lock.waiters.length;
  }
  assert(machine.counts.grants === grants, 'grants are miscounted');
  assert(machine.counts.waiters === waiters, 'waiters are miscounted');
  assert(machine.counts.locks === image.locks.length, 'locks are miscounted');
  for (const { session } of image.sessions) {
    const mine = machine.session(session);
    assert(mine !== null, `session ${session} is not found`);
    grants -= mine.grants.length;
    waiters -= mine.waiters.length;
  }
  assert(grants === 0, 'sessions have other grants than the locks');
  assert(waiters === 0, 'sessions have other waiters than the locks');
}

export function checkImage(image: MachineImage): void {
  const pending = checkSessions(image);
  checkLocks(image, pending);
  checkLogs(image);
  checkKv(image);
}

/** Returns the pending requests as "session/sequence"; each must be a waiter's. */
function checkSessions(image: MachineImage): Set<string> {
  assert(image.sessions.length <= SESSIONS_MAX, 'too many sessions');
  const pending = new Set<string>();
  const nonces = new Set<string>();
  let before = 0;
  for (const session of image.sessions) {
    assert(session.session > before, `session ${session.session} is out of order`);
    assert(session.session < image.nextSession, `session ${session.session} is above the counter`);
    assert(!nonces.has(session.nonce), `session ${session.session} has another one's nonce`);
    nonces.add(session.nonce);
    before = session.session;
    checkWindow(session, pending);
  }
  return pending;
}

function checkWindow(session: SessionImage, pending: Set<string>): void {
  assert(session.answeredBelow >= 1, `session ${session.session} has no window`);
  let before = session.answeredBelow - 1;
  for (const { sequence, answer } of session.requests) {
    assert(sequence > before, `request ${sequence} of session ${session.session} is out of order`);
    assert(
      sequence < session.answeredBelow + SESSION_WINDOW,
      `request ${sequence} of session ${session.session} is above its window`,
    );
    before = sequence;
    if (answer === null) pending.add(`${session.session}/${sequence}`);
  }
}

function checkLocks(image: MachineImage, pending: Set<string>): void {
  const sessions = new Set(image.sessions.map(({ session }) => session));
  const tokens = new Set<number>();
  const places = new Set<number>();
  const perSession = new Map<number, number>();
  let before = '';
  for (const lock of image.locks) {
    assert(lock.lock > before, `lock ${lock.lock} is out of order`);
    before = lock.lock;
    checkLock(lock);
    for (const grant of lock.grants) {
      assert(sessions.has(grant.session), `token ${grant.token} is held by an ended session`);
      assert(!tokens.has(grant.token), `token ${grant.token} was granted twice`);
      assert(grant.token < image.nextToken, `token ${grant.token} is above the counter`);
      tokens.add(grant.token);
      perSession.set(grant.session, (perSession.get(grant.session) ?? 0) + 1);
    }
    for (const waiter of lock.waiters) {
      const request = `${waiter.session}/${waiter.sequence}`;
      assert(pending.delete(request), `waiter ${request} for ${lock.lock} is not pending`);
      assert(!places.has(waiter.place), `place ${waiter.place} is taken twice`);
      assert(waiter.place <= image.index, `place ${waiter.place} is above the last command`);
      places.add(waiter.place);
      perSession.set(waiter.session, (perSession.get(waiter.session) ?? 0) + 1);
    }
  }
  assert(pending.size === 0, `request ${[...pending][0]} is pending and waits for nothing`);
  for (const [session, count] of perSession) {
    assert(count <= GRANTS_PER_SESSION_MAX, `session ${session} holds too much`);
  }
}

function checkLock(lock: LockImage): void {
  assert(lock.grants.length > 0, `lock ${lock.lock} is free and not forgotten`);
  assert(lock.waiters.length <= WAITERS_PER_LOCK_MAX, `lock ${lock.lock} has too many waiters`);
  const exclusive = lock.grants.some(({ mode }) => mode === 'exclusive');
  assert(!exclusive || lock.grants.length === 1, `lock ${lock.lock} has an exclusive holder and another`);
  const head = lock.waiters[0];
  if (head !== undefined) {
    assert(exclusive || head.mode === 'exclusive', `lock ${lock.lock} keeps a waiter that would fit`);
  }
  const holders = new Set<string>();
  for (const { session, owner } of [...lock.grants, ...lock.waiters]) {
    assert(!holders.has(`${session}/${owner}`), `owner ${session}/${owner} is twice at ${lock.lock}`);
    holders.add(`${session}/${owner}`);
  }
  let before = 0;
  for (const { token, depth } of lock.grants) {
    assert(token > before, `token ${token} of ${lock.lock} is out of order`);
    assert(depth >= 1, `token ${token} of ${lock.lock} has depth ${depth}`);
    before = token;
  }
  before = 0;
  for (const { place } of lock.waiters) {
    assert(place > before, `queue of ${lock.lock} is out of order at ${place}`);
    before = place;
  }
}

function checkLogs(image: MachineImage): void {
  assert(image.logs.length <= LOGS_MAX, 'too many logs');
  const ids = new Set<number>();
  let before = '';
  for (const log of image.logs) {
    assert(log.name > before, `log ${log.name} is out of order`);
    assert(!ids.has(log.id), `log ${log.name} has another one's id`);
    assert(log.id < image.nextLog, `log ${log.name} has an id above the counter`);
    before = log.name;
    ids.add(log.id);
    checkLog(log);
  }
}

function checkLog(log: LogInfo): void {
  assert(log.start <= log.count, `log ${log.name} is trimmed beyond its end`);
  assert(log.bytes >= log.count, `log ${log.name} has an empty record`);
  assert(log.count > 0 || log.chain === 0, `log ${log.name} has a chain without records`);
}

function checkKv(image: MachineImage): void {
  assert(image.entries.length <= KEYS_MAX, 'too many keys');
  assert(image.changes.length <= KV_CHANGES_KEPT, 'too many changes');
  let before = '';
  for (const { key, revision } of image.entries) {
    assert(key > before, `key ${key} is out of order`);
    assert(revision >= 1, `key ${key} has no revision`);
    assert(revision <= image.revision, `key ${key} has a revision above the counter`);
    before = key;
  }
  let revision = image.revision - image.changes.length;
  assert(revision >= 0, 'more changes than revisions');
  for (const change of image.changes) {
    revision++;
    assert(change.revision === revision, `change ${change.revision} is out of order`);
  }
}
