/**
 * The operations on locks and logs, put in order by name, token and offset, and the rules that can be held to them without
 * searching: an offset is given once, a read gives what was appended, a first acquire has a new token, and on the one
 * clock of a history no two conflicting holders count on a lock at the same time.
 */

import { type Finding, finding, inTime } from './findings.ts';
import type { LostHold, Operation } from './history.ts';
import { capital, deed, quoted, span } from './words.ts';

type ActionOf<T extends Operation['action']['type']> = Extract<Operation['action'], { type: T }>;
export type Of<T extends Operation['action']['type']> = Operation & { readonly action: ActionOf<T> };

export interface LogLedger {
  readonly log: string;
  /** Acknowledged appends by offset. */
  readonly appends: Map<number, Of<'append'>>;
  readonly unknown: Of<'append'>[];
  readonly refused: Of<'append'>[];
  /** Reads that were answered; one that was told that there is no such log found it empty. */
  readonly reads: Of<'read'>[];
  /** Told that there is no such log, by an append: it was empty then. */
  readonly absent: Of<'append'>[];
  /** By offset: the first read that shows a record, and the record. */
  readonly seen: Map<number, { readonly data: string; readonly read: Of<'read'> }>;
}

export interface TokenLedger {
  readonly token: number;
  /** The acquire that was given this token first; null if none is known. */
  grant: Of<'acquire'> | null;
  /** Re-entries. */
  readonly entries: Of<'acquire'>[];
  readonly releases: Of<'release'>[];
  readonly appends: Of<'append'>[];
  /** Appends that were refused because the token was not current, and releases of its own client. */
  readonly refused: Operation[];
}

export interface LockLedger {
  readonly lock: string;
  readonly tokens: Map<number, TokenLedger>;
  readonly unknownAcquires: Of<'acquire'>[];
  /** Unknown, or refused because the token was over. */
  readonly unacceptedReleases: Of<'release'>[];
  readonly lost: LostHold[];
  /** A grant was taken to be that of an unknown acquire, since it fits; another one might fit too. */
  guessed: boolean;
}

export interface Ledger {
  readonly logs: ReadonlyMap<string, LogLedger>;
  readonly locks: ReadonlyMap<string, LockLedger>;
  /** Contradictions found on the way. */
  readonly findings: readonly Finding[];
}

export function makeLedger(operations: readonly Operation[], lost: readonly LostHold[]): Ledger {
  const builder = new LedgerBuilder();
  for (const each of [...operations].sort(inTime)) builder.add(each);
  for (const each of lost) builder.lock(each.key).lost.push(each);
  builder.finish();
  return builder;
}

export function tokenOf(lock: LockLedger, token: number): TokenLedger {
  let ledger = lock.tokens.get(token);
  if (ledger === undefined) {
    ledger = { token, grant: null, entries: [], releases: [], appends: [], refused: [] };
    lock.tokens.set(token, ledger);
  }
  return ledger;
}

class LedgerBuilder implements Ledger {
  readonly logs = new Map<string, LogLedger>();
  readonly locks = new Map<string, LockLedger>();
  readonly findings: Finding[] = [];
  readonly #refused: { readonly lock: string; readonly token: number; readonly operation: Operation }[] = [];

  lock(name: string): LockLedger {
    let ledger = this.locks.get(name);
    if (ledger === undefined) {
      ledger = {
        lock: name,
        tokens: new Map(),
        unknownAcquires: [],
        unacceptedReleases: [],
        lost: [],
        guessed: false,
      };
      this.locks.set(name, ledger);
    }
    return ledger;
  }

  #log(name: string): LogLedger {
    let ledger = this.logs.get(name);
    if (ledger === undefined) {
      ledger = {
        log: name,
        appends: new Map(),
        unknown: [],
        refused: [],
        reads: [],
        absent: [],
        seen: new Map(),
      };
      this.logs.set(name, ledger);
    }
    return ledger;
  }

  add(operation: Operation): void {
    const { action } = operation;
    switch (action.type) {
      case 'acquire':
        return this.#acquire(operation as Of<'acquire'>);
      case 'release':
        return this.#release(operation as Of<'release'>);
      case 'append':
        return this.#append(operation as Of<'append'>);
      case 'read':
        return this.#read(operation as Of<'read'>);
      default:
    }
  }

  #acquire(acquire: Of<'acquire'>): void {
    const { action } = acquire;
    const lock = this.lock(acquire.key);
    if (acquire.outcome === 'unknown') lock.unknownAcquires.push(acquire);
    if (action.token === null) return;
    const token = tokenOf(lock, action.token);
    const { grant } = token;
    if (grant === null) token.grant = acquire;
    else if (grant.action.owner !== action.owner || (action.depth === 1 && grant.action.depth === 1)) {
      this.findings.push(
        finding(
          [
            `Token ${action.token} of lock ${acquire.key} was given out twice: ${deed(grant)}, and so was client ${acquire.client}. Every grant has a token of its own.`,
          ],
          acquire,
          [grant],
        ),
      );
    } else if (action.depth > 1) token.entries.push(acquire);
    else {
      token.entries.push(grant);
      token.grant = acquire;
    }
  }

  #release(release: Of<'release'>): void {
    const lock = this.lock(release.key);
    if (release.outcome === 'unknown') lock.unacceptedReleases.push(release);
    else if (release.outcome === 'done') tokenOf(lock, release.action.token).releases.push(release);
    else if (release.code === 2) {
      lock.unacceptedReleases.push(release);
      this.#refused.push({ lock: release.key, token: release.action.token, operation: release });
    }
  }

  #append(append: Of<'append'>): void {
    const log = this.#log(append.key);
    const { lock, token, offset } = append.action;
    if (append.outcome === 'unknown') {
      log.unknown.push(append);
      return;
    }
    if (append.outcome === 'refused') {
      log.refused.push(append);
      if (append.code === 1) log.absent.push(append);
      if (append.code === 2 && lock !== null && token !== null) {
        this.#refused.push({ lock, token, operation: append });
      }
      return;
    }
    const other = log.appends.get(offset as number);
    if (other !== undefined) {
      this.findings.push(
        finding(
          [
            `Offset ${offset} of log ${append.key} was given out twice: ${deed(other)}, and so was client ${append.client} with ${quoted(append.action.data)}. One of the two records is lost.`,
          ],
          append,
          [other],
        ),
      );
      return;
    }
    log.appends.set(offset as number, append);
    if (lock !== null) tokenOf(this.lock(lock), token as number).appends.push(append);
  }

  #read(read: Of<'read'>): void {
    const log = this.#log(read.key);
    if (read.outcome === 'unknown' || (read.outcome === 'refused' && read.code !== 1)) return;
    log.reads.push(read);
    const { from, limit, records } = read.action;
    if (limit !== null && records.length > limit) {
      this.findings.push(
        finding([`${capital(deed(read))}: ${records.length} records, but it asked for ${limit}.`], read, []),
      );
    }
    records.forEach(({ offset, data }, index) => {
      if (offset !== from + index) {
        this.findings.push(
          finding(
            [
              `${capital(deed(read))}, but offset ${offset} stands where offset ${from + index} must: ${offset > from + index ? 'records are missing between' : 'records are out of order or repeated'}.`,
            ],
            read,
            [log.appends.get(from + index)].filter((each) => each !== undefined),
          ),
        );
        return;
      }
      const earlier = log.seen.get(offset);
      if (earlier === undefined) log.seen.set(offset, { data, read });
      else if (earlier.data !== data) {
        this.findings.push(
          finding(
            [
              `Log ${read.key} changed at offset ${offset}: client ${earlier.read.client} found ${quoted(earlier.data)} there, client ${read.client} found ${quoted(data)}.`,
            ],
            read,
            [earlier.read],
          ),
        );
      }
    });
  }

  /** What can only be said once all grants are known. */
  finish(): void {
    for (const lock of this.locks.values()) for (const token of lock.tokens.values()) firstGrant(lock, token);
    for (const { lock, token, operation } of this.#refused) {
      const ledger = this.locks.get(lock)?.tokens.get(token);
      // Nobody knows a token before its grant is answered: an earlier refusal was a guess.
      const known = [ledger?.grant ?? null, ...(ledger?.entries ?? [])].filter(
        (each) => each !== null && each.complete < operation.invoke,
      );
      // A shared token never appends; and a release is refused to everyone but the holder.
      const says = known.some((each) =>
        operation.action.type === 'append'
          ? each?.action.shared === false
          : each?.client === operation.client,
      );
      if (says) ledger?.refused.push(operation);
    }
  }
}

/** Where only re-entries were answered, an acquire of the same owner with unknown outcome was the grant. */
function firstGrant(lock: LockLedger, token: TokenLedger): void {
  const entry = token.grant;
  if (entry === null || entry.action.depth === 1) return;
  const { owner, shared } = entry.action;
  const at = lock.unknownAcquires.findIndex(
    ({ action, invoke }) => action.owner === owner && action.shared === shared && invoke <= entry.complete,
  );
  if (at < 0) return;
  const [grant] = lock.unknownAcquires.splice(at, 1);
  token.entries.push(entry);
  token.grant = grant as Of<'acquire'>;
  lock.guessed = true;
}

/** Contradictions between two or three operations of one partition. */
export function ledgerFindings(ledger: Ledger): Finding[] {
  const findings = [...ledger.findings];
  for (const log of ledger.logs.values()) findings.push(...contentFindings(log));
  for (const lock of ledger.locks.values()) {
    findings.push(...sharedAppendFindings(lock), ...overlapFindings(lock));
  }
  return findings;
}

/** A read shows another record at an offset than the one that was acknowledged there. */
function contentFindings(log: LogLedger): Finding[] {
  const findings: Finding[] = [];
  const offsets = new Map<string, Of<'append'>>();
  for (const append of log.appends.values()) offsets.set(append.action.data, append);
  for (const [offset, { data, read }] of log.seen) {
    const append = log.appends.get(offset);
    if (append === undefined || append.action.data === data) continue;
    const origin = offsets.get(data);
    const moved =
      origin === undefined
        ? ''
        : ` ${capital(quoted(data))} was acknowledged at offset ${origin.action.offset} (client ${origin.client}).`;
    findings.push(
      finding(
        [`${capital(deed(append))}, but client ${read.client} found ${quoted(data)} there.${moved}`],
        read,
        origin === undefined ? [append] : [append, origin],
      ),
    );
  }
  return findings;
}

function sharedAppendFindings(lock: LockLedger): Finding[] {
  const findings: Finding[] = [];
  for (const { grant, appends } of lock.tokens.values()) {
    const [append] = appends;
    if (append === undefined || grant === null || !grant.action.shared) continue;
    findings.push(
      finding(
        [
          `${capital(deed(append))}, but that token holds lock ${lock.lock} shared. Only an exclusive token may append.`,
        ],
        append,
        [grant],
      ),
    );
  }
  return findings;
}

interface Hold {
  readonly grant: Of<'acquire'>;
  readonly token: number;
  /** The grant's own completion where no end is known. */
  readonly until: number;
  readonly ended: Of<'release'> | LostHold | null;
}

/** [acquire complete, release invoked or heldUntilNs) overlaps no conflicting holder's. */
function overlapFindings(lock: LockLedger): Finding[] {
  const findings: Finding[] = [];
  const longest: { exclusive: Hold | null; shared: Hold | null } = { exclusive: null, shared: null };
  for (const hold of holdsOf(lock)) {
    const { shared } = hold.grant.action;
    for (const other of shared ? [longest.exclusive] : [longest.exclusive, longest.shared]) {
      if (other !== null && hold.grant.complete < other.until) findings.push(overlap(lock.lock, other, hold));
    }
    const mode = shared ? 'shared' : 'exclusive';
    const so = longest[mode];
    if (so === null || hold.until > so.until) longest[mode] = hold;
  }
  return findings;
}

/**
 * Holders of which it is known until when they counted on the lock, in the order of their grants: until they asked for its
 * release, whatever the answer, or until the deadline at which they gave up. One that did neither (its program died) claims
 * the moment of its grant only; a holder without a deadline of its own must write down when its lease was over.
 */
function holdsOf(lock: LockLedger): Hold[] {
  const holds: Hold[] = [];
  const unaccepted = Map.groupBy(lock.unacceptedReleases, ({ action }) => action.token);
  const lost = Map.groupBy(lock.lost, ({ token }) => token);
  for (const { token, grant, entries, releases } of lock.tokens.values()) {
    if (grant === null) continue;
    // Anybody who knows the token can ask for a release and be refused.
    const own = (unaccepted.get(token) ?? []).filter(({ client }) => client === grant.client);
    const refused = own.find(({ outcome }) => outcome === 'refused');
    const last = [...releases, ...own].sort(inTime)[entries.length];
    const ends: (readonly [number, Hold['ended']])[] = [];
    for (const each of [last, refused]) if (each !== undefined) ends.push([each.invoke, each]);
    for (const each of lost.get(token) ?? []) ends.push([each.heldUntil, each]);
    const [end] = ends.sort(([a], [b]) => a - b);
    if (end === undefined) holds.push({ grant, token, until: grant.complete, ended: null });
    else if (end[0] > grant.complete) holds.push({ grant, token, until: end[0], ended: end[1] });
  }
  return holds.sort((a, b) => a.grant.complete - b.grant.complete || b.until - a.until);
}

function overlap(lock: string, first: Hold, second: Hold): Finding {
  const togetherNs = Math.min(first.until, second.until) - second.grant.complete;
  const lasted = togetherNs > 0 ? ` for ${span(togetherNs)}` : '';
  const isLost = (each: Hold['ended']): each is LostHold => each !== null && 'heldUntil' in each;
  const end = isLost(first.ended) ? 'until its deadline' : 'until it asked for its release';
  const ends = [first.ended, second.ended];
  return finding(
    [
      `Lock ${lock} had two holders at once${lasted}: client ${first.grant.client} (token ${first.token}) counted on it ${end}, and client ${second.grant.client} was granted it with token ${second.token} before that.`,
    ],
    second.grant,
    [first.grant, ...ends.filter((each): each is Of<'release'> => each !== null && !isLost(each))],
    ends.filter(isLost),
  );
}
