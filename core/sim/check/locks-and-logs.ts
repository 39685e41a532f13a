/**
 * A lock and the logs that it guards, judged together.
 *
 * Acknowledged operations carry their place: appends their offset, grants their token. Only what happened of the operations
 * with unknown outcome must be found out: each offset below a known one that nobody was told of was written by one of the
 * unknown appends, and each token that was accepted but never answered was given to one of the unknown acquires. The search
 * goes through those fillings, and each is put to the test by its order alone (lock-order.ts).
 *
 * An unknown operation that fills nothing is taken not to have happened. That loses no order: a lease may end silently at any
 * time, so a release or a grant that nobody sees explains nothing more; and a record that nobody sees, nor any after it, can
 * be struck from the end of its log.
 */

import { CHECK_FILLINGS_MAX } from '../../base/limits.ts';
import { type Finding, finding, smallest } from './findings.ts';
import type { Operation } from './history.ts';
import {
  type Ledger,
  type LockLedger,
  type LogLedger,
  ledgerFindings,
  makeLedger,
  type Of,
} from './ledger.ts';
import { type Assumption, contradiction } from './lock-order.ts';
import type { Partition } from './partitions.ts';
import { capital, deed, quoted } from './words.ts';

export type LockVerdict =
  | { readonly type: 'linearizable' }
  | { readonly type: 'not-linearizable'; readonly finding: Finding }
  | { readonly type: 'too-many-fillings' };

/** An offset that somebody among the unknown appends must have written. */
interface Gap {
  readonly log: LogLedger;
  readonly offset: number;
  readonly candidates: readonly Of<'append'>[];
}

type Grants = Map<string, Map<number, Of<'acquire'>>>;

/** Yields between fillings. */
export function* judgeLocks(partition: Partition): Generator<void, LockVerdict> {
  const ledger = makeLedger(partition.operations, partition.lost);
  const gaps: Gap[] = [];
  const findings = ledgerFindings(ledger);
  for (const log of ledger.logs.values()) findings.push(...gapsOf(log, gaps));
  const direct = smallest(findings);
  if (direct !== null) return { type: 'not-linearizable', finding: direct };
  // Few candidates first: they leave the least to try.
  gaps.sort((a, b) => a.candidates.length - b.candidates.length || a.offset - b.offset);
  const search = new FillingSearch(ledger, gaps);
  return yield* search.run();
}

// --- which offsets are open --------------------------------------------------------------------------------------------

function gapsOf(log: LogLedger, gaps: Gap[]): Finding[] {
  const open = openOffsets(log);
  const byData = Map.groupBy(log.unknown, ({ action }) => action.data);
  const findings: Finding[] = [];
  const shown = new Map<string, number[]>();
  const found: Gap[] = [];
  const bounds = open.length === 0 ? null : boundsOf(log);
  for (const offset of open) {
    const record = log.seen.get(offset);
    let candidates = log.unknown;
    if (record !== undefined) {
      candidates = byData.get(record.data) ?? [];
      shown.set(record.data, [...(shown.get(record.data) ?? []), offset]);
    }
    const likely = candidates.filter((each) => bounds?.(each, offset) ?? true);
    // Where none is likely, the order of times shall say why none is possible.
    found.push({ log, offset, candidates: likely.length > 0 ? likely : candidates });
  }
  for (const [data, offsets] of shown) {
    if ((byData.get(data)?.length ?? 0) < offsets.length) findings.push(unexplained(log, data, offsets));
  }
  if (findings.length === 0 && open.length > log.unknown.length) {
    const missing = open.find((offset) => !log.seen.has(offset));
    if (missing !== undefined) findings.push(missingRecord(log, missing));
  }
  if (findings.length === 0) gaps.push(...found);
  return findings;
}

/** Offsets that were written, by all that is known, and of which no append was acknowledged. */
function openOffsets(log: LogLedger): number[] {
  let length = 0;
  for (const offset of log.appends.keys()) length = Math.max(length, offset + 1);
  for (const offset of log.seen.keys()) length = Math.max(length, offset + 1);
  const open = new Set<number>();
  // One more than could be filled is enough to know that one is missing: the last offset may be a wild number.
  for (let offset = 0; offset < length && open.size <= log.unknown.length; offset++) {
    if (!log.appends.has(offset)) open.add(offset);
  }
  for (const offset of log.seen.keys()) if (!log.appends.has(offset)) open.add(offset);
  return [...open].sort((a, b) => a - b);
}

/**
 * Whether an unknown append can stand at an offset, by its neighbours: it began before whatever shows a later record ended,
 * and its token is not above a later record's or below an earlier one's. Says no only to what the full test would refuse.
 */
function boundsOf(log: LogLedger): (append: Of<'append'>, offset: number) => boolean {
  const known = [...log.appends.values()].sort((a, b) => offsetOf(a) - offsetOf(b));
  const shownBy = new Map<number, number>();
  const showing = (offset: number, complete: number): void => {
    shownBy.set(offset, Math.min(shownBy.get(offset) ?? Number.POSITIVE_INFINITY, complete));
  };
  for (const append of known) showing(offsetOf(append), append.complete);
  for (const read of log.reads) {
    const last = read.action.records.at(-1);
    if (last !== undefined) showing(last.offset, read.complete);
  }
  const offsets = [...shownBy.keys()].sort((a, b) => b - a);
  const deadlines: { readonly offset: number; readonly complete: number }[] = [];
  let earliest = Number.POSITIVE_INFINITY;
  for (const offset of offsets) {
    earliest = Math.min(earliest, shownBy.get(offset) as number);
    deadlines.push({ offset, complete: earliest });
  }
  return (append, offset) => {
    // The last one at or above the offset, in descending order.
    const deadline = deadlines[lastIndex(deadlines, (each) => each.offset >= offset)]?.complete;
    if (deadline !== undefined && append.invoke > deadline) return false;
    const { lock, token } = append.action;
    if (lock === null || token === null) return true;
    const place = lastIndex(known, (each) => offsetOf(each) < offset);
    const before = known[place]?.action;
    const after = known[place + 1]?.action;
    if (before?.lock === lock && before.token !== null && before.token > token) return false;
    return !(after?.lock === lock && after.token !== null && after.token < token);
  };
}

/** The last index of a list for whose beginning, and for nothing else, `holds` is true; -1: for none. */
function lastIndex<T>(list: readonly T[], holds: (item: T) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(list[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function offsetOf(append: Of<'append'>): number {
  return append.action.offset as number;
}

/** A record is shown that no append explains. */
function unexplained(log: LogLedger, data: string, offsets: readonly number[]): Finding {
  const offset = offsets[0] as number;
  const { read } = log.seen.get(offset) as { read: Operation };
  const same = (each: Of<'append'>): boolean => each.action.data === data;
  const acknowledged = [...log.appends.values()].filter(same);
  const refused = log.refused.filter(same);
  const unknown = log.unknown.filter(same);
  const where = `Client ${read.client} found ${quoted(data)} in log ${log.log} at offset ${offset}`;
  if (acknowledged.length > 0 || unknown.length > 0) {
    const reads = offsets.map((each) => (log.seen.get(each) as { read: Operation }).read);
    const also = [...acknowledged.map(offsetOf), ...offsets.slice(1)];
    const times = acknowledged.length + unknown.length;
    return finding(
      [
        `${where}, and it stands at offset ${also.join(' and ')} too, but it was appended only ${times === 1 ? 'once' : `${times} times`}: the record is repeated.`,
      ],
      reads.at(-1) as Operation,
      [...acknowledged, ...unknown, ...reads],
    );
  }
  const [no] = refused;
  if (no !== undefined) {
    return finding([`${where}, but ${deed(no)}. A refused append must leave nothing.`], read, [no]);
  }
  return finding([`${where}, but nobody appended it.`], read, []);
}

/** An offset was passed over: later ones are there. */
function missingRecord(log: LogLedger, offset: number): Finding {
  const later = [...log.appends.values()].filter((each) => offsetOf(each) >= offset);
  const shows = later.reduce<Of<'append'> | null>(
    (best, each) => (best === null || offsetOf(each) < offsetOf(best) ? each : best),
    null,
  );
  const witness =
    shows ?? (log.reads.find(({ action }) => (action.records.at(-1)?.offset ?? -1) >= offset) as Operation);
  return finding(
    [
      `${capital(deed(witness))}, but no append is left that can have written offset ${offset}. (Offsets count from 0, and a history begins with empty logs.)`,
    ],
    witness,
    [],
  );
}

// --- the search --------------------------------------------------------------------------------------------------------

class FillingSearch {
  readonly #ledger: Ledger;
  readonly #gaps: readonly Gap[];
  readonly #records = new Map<string, Map<number, Of<'append'>>>();
  readonly #used = new Set<Operation>();
  #tried = 0;
  #steps = 0;
  /** What was wrong with the first filling, and the first gap for which no append was left. */
  #first: Finding | null = null;
  #stuck: Gap | null = null;
  /** Some way to hand out tokens was not tried: a refusal would not be certain. */
  #inexact: boolean;

  constructor(ledger: Ledger, gaps: readonly Gap[]) {
    this.#ledger = ledger;
    this.#gaps = gaps;
    this.#inexact = [...ledger.locks.values()].some(({ guessed }) => guessed);
  }

  *run(): Generator<void, LockVerdict> {
    const choices = this.#gaps.filter(({ candidates }) => candidates.length > 1);
    if (choices.length > CHECK_FILLINGS_MAX) return { type: 'too-many-fillings' };
    const found = yield* this.#fill(0);
    if (found) return { type: 'linearizable' };
    const wrong =
      this.#first ?? (this.#stuck === null ? null : missingRecord(this.#stuck.log, this.#stuck.offset));
    if (wrong === null || this.#inexact || this.#over()) return { type: 'too-many-fillings' };
    return { type: 'not-linearizable', finding: wrong };
  }

  #over(): boolean {
    return this.#tried >= CHECK_FILLINGS_MAX || this.#steps >= CHECK_FILLINGS_MAX * 100;
  }

  *#fill(at: number): Generator<void, boolean> {
    // Gaps that leave no choice are filled in one go: there may be more of them than calls can nest.
    const filled: {
      readonly records: Map<number, Of<'append'>>;
      readonly offset: number;
      readonly append: Of<'append'>;
    }[] = [];
    let next = at;
    let fits = true;
    for (; next < this.#gaps.length; next++) {
      const { log, offset, candidates } = this.#gaps[next] as Gap;
      if (candidates.length > 1) break;
      const [append] = candidates;
      if (append === undefined || this.#used.has(append)) {
        fits = false;
        this.#stuck ??= this.#gaps[next] as Gap;
        break;
      }
      const records = this.#recordsOf(log.log);
      records.set(offset, append);
      this.#used.add(append);
      filled.push({ records, offset, append });
    }
    const found = fits && (yield* this.#choose(next));
    if (found) return true;
    for (const { records, offset, append } of filled) {
      records.delete(offset);
      this.#used.delete(append);
    }
    return false;
  }

  *#choose(at: number): Generator<void, boolean> {
    const gap = this.#gaps[at];
    if (gap === undefined) return yield* this.#test();
    const records = this.#recordsOf(gap.log.log);
    const candidates = [...gap.candidates].sort(
      (a, b) => (a.action.token ?? 0) - (b.action.token ?? 0) || a.invoke - b.invoke,
    );
    let tried = false;
    for (const append of candidates) {
      if (this.#used.has(append)) continue;
      tried = true;
      this.#steps++;
      if (this.#over()) return false;
      records.set(gap.offset, append);
      this.#used.add(append);
      if (yield* this.#fill(at + 1)) return true;
      records.delete(gap.offset);
      this.#used.delete(append);
    }
    if (!tried) this.#stuck ??= gap;
    return false;
  }

  #recordsOf(log: string): Map<number, Of<'append'>> {
    const records = this.#records.get(log) ?? new Map<number, Of<'append'>>();
    this.#records.set(log, records);
    return records;
  }

  *#test(): Generator<void, boolean> {
    this.#tried++;
    yield;
    const grants: Grants = new Map();
    const wrong = this.#grant(grants);
    const assumption: Assumption = { records: this.#records, grants };
    const found = wrong ?? contradiction(this.#ledger, assumption);
    if (found === null) return true;
    this.#first ??= found;
    return false;
  }

  /** Hands out the tokens that were accepted and never answered: the earliest acquire gets the lowest. */
  #grant(grants: Grants): Finding | null {
    const assumed = new Map<string, Map<number, Operation>>();
    for (const records of this.#records.values()) {
      for (const append of records.values()) {
        const { lock, token } = append.action;
        if (lock === null || token === null) continue;
        assumed.set(lock, (assumed.get(lock) ?? new Map<number, Operation>()).set(token, append));
      }
    }
    for (const lock of this.#ledger.locks.values()) {
      const handed = this.#grantOf(lock, assumed.get(lock.lock) ?? new Map());
      if (!(handed instanceof Map)) return handed;
      grants.set(lock.lock, handed);
    }
    // An append under a lock that is mentioned nowhere else.
    for (const [lock, tokens] of assumed) {
      if (this.#ledger.locks.has(lock)) continue;
      const append = [...tokens.values()][0] as Operation;
      return ungranted(lock, append);
    }
    return null;
  }

  #grantOf(lock: LockLedger, assumed: ReadonlyMap<number, Operation>): Map<number, Of<'acquire'>> | Finding {
    const open = new Map<number, { readonly witness: Operation; readonly exclusive: boolean }>();
    for (const [token, { grant, appends, releases }] of lock.tokens) {
      const witness = appends[0] ?? assumed.get(token) ?? releases[0];
      if (grant !== null || witness === undefined) continue;
      open.set(token, { witness, exclusive: witness.action.type === 'append' });
    }
    for (const [token, witness] of assumed) {
      if (!lock.tokens.has(token)) open.set(token, { witness, exclusive: true });
    }
    const handed = new Map<number, Of<'acquire'>>();
    const free = [...lock.unknownAcquires];
    for (const [token, { witness, exclusive }] of [...open].sort(([a], [b]) => a - b)) {
      const fitting = free.filter(({ action }) => !exclusive || !action.shared);
      const [acquire] = fitting;
      if (acquire === undefined) return ungranted(lock.lock, witness);
      const alike = ({ action }: Of<'acquire'>): boolean =>
        action.depth === 1 && action.shared === acquire.action.shared;
      if (!fitting.every(alike)) this.#inexact = true;
      free.splice(free.indexOf(acquire), 1);
      handed.set(token, acquire);
    }
    return handed;
  }
}

function ungranted(lock: string, witness: Operation): Finding {
  return finding(
    [`${capital(deed(witness))}, but nobody was granted that token of lock ${lock}.`],
    witness,
    [],
  );
}
