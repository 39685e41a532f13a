/**
 * Whether a finished run kept the service's promises, by looking at its history and at what is in the logs afterwards. Pure.
 *
 * It checks what can be checked without a search: each acknowledged append stands once, at its offset, in the log and in the
 * plain file; refused appends left nothing; unknown ones stand at most once; tokens grow; no two exclusive holders overlap;
 * no append was accepted after a higher token had been granted.
 */

import type { HistoryLine, Lost, Operation } from './history.ts';

export interface LogContents {
  readonly log: string;
  readonly records: readonly { readonly offset: number; readonly data: string }[];
  /** The plain file's text. */
  readonly file: string;
}

export interface Verdict {
  /** Sentences, each a promise that was broken; empty if all were kept. */
  readonly violations: readonly string[];
  readonly acknowledgedAppends: number;
  readonly refusedAppends: number;
  readonly unknownAppends: number;
  readonly grants: number;
  readonly lostLocks: number;
}

interface Hold {
  readonly lock: string;
  readonly token: number;
  readonly client: number;
  readonly askedNs: bigint;
  readonly grantedNs: bigint;
  /** Until when the holder counted on it. */
  readonly untilNs: bigint;
}

export function verify(history: readonly HistoryLine[], logs: readonly LogContents[]): Verdict {
  const violations: string[] = [];
  const operations = history.filter((line): line is Operation => line.op !== 'lost');
  const lost = history.filter((line): line is Lost => line.op === 'lost');
  const appends = operations.filter((line) => line.op === 'append');
  for (const contents of logs) violations.push(...checkLog(contents, appends));
  const holds = holdsOf(operations, lost);
  violations.push(...checkTokens(holds), ...checkOverlaps(holds), ...checkFencing(appends, holds));
  return {
    violations,
    acknowledgedAppends: appends.filter((append) => append.code === 0).length,
    refusedAppends: appends.filter((append) => append.definite && append.code !== 0).length,
    unknownAppends: appends.filter((append) => !append.definite).length,
    grants: holds.length,
    lostLocks: lost.length,
  };
}

function checkLog(contents: LogContents, allAppends: readonly Operation[]): string[] {
  const { log, records, file } = contents;
  const violations: string[] = [];
  const appends = allAppends.filter((append) => append.key === log);
  const places = new Map<string, number[]>();
  for (const record of records) {
    const offsets = places.get(record.data) ?? [];
    offsets.push(record.offset);
    places.set(record.data, offsets);
  }
  const known = new Set<string>();
  for (const append of appends) {
    const data = (append.arg as { data: string }).data;
    known.add(data);
    const offsets = places.get(data) ?? [];
    if (append.code === 0) {
      const offset = (append.result as { offset: number }).offset;
      if (offsets.length !== 1 || offsets[0] !== offset) {
        violations.push(
          `${log}: "${data}" was acknowledged at ${offset}, but stands at [${offsets.join(', ')}]`,
        );
      }
    } else if (append.definite && offsets.length > 0) {
      violations.push(
        `${log}: "${data}" was refused with code ${append.code}, but stands at ${offsets.join(', ')}`,
      );
    } else if (offsets.length > 1) {
      violations.push(`${log}: "${data}" stands more than once, at ${offsets.join(', ')}`);
    }
  }
  for (const data of places.keys()) {
    if (!known.has(data)) violations.push(`${log}: holds "${data}", which nobody appended`);
  }
  records.forEach((record, index) => {
    if (record.offset !== (records[0]?.offset ?? 0) + index) {
      violations.push(`${log}: offset ${record.offset} stands at place ${index}`);
    }
  });
  if (file !== records.map((record) => record.data).join('')) {
    violations.push(`${log}: the plain file does not hold the same bytes as the log`);
  }
  return violations;
}

function holdsOf(operations: readonly Operation[], lost: readonly Lost[]): Hold[] {
  const ends = new Map<string, bigint>();
  const end = (lock: string, token: number, atNs: bigint): void => {
    const key = `${lock} ${token}`;
    const before = ends.get(key);
    ends.set(key, before === undefined || atNs < before ? atNs : before);
  };
  for (const line of operations) {
    if (line.op === 'release') end(line.key, (line.arg as { token: number }).token, BigInt(line.invokeNs));
  }
  for (const line of lost) end(line.key, line.arg.token, BigInt(line.heldUntilNs));
  const holds: Hold[] = [];
  for (const line of operations) {
    if (line.op !== 'acquire' || line.code !== 0 || (line.arg as { shared: boolean }).shared) continue;
    const token = (line.result as { token: number }).token;
    const grantedNs = BigInt(line.completeNs as string);
    holds.push({
      lock: line.key,
      token,
      client: line.client,
      askedNs: BigInt(line.invokeNs),
      grantedNs,
      // Neither released nor lost by the end: it says nothing about overlaps.
      untilNs: ends.get(`${line.key} ${token}`) ?? grantedNs,
    });
  }
  return holds.sort((a, b) => (a.grantedNs < b.grantedNs ? -1 : 1));
}

function checkTokens(holds: readonly Hold[]): string[] {
  const violations: string[] = [];
  for (const [lock, own] of byLock(holds)) {
    const seen = new Set<number>();
    let highest = 0;
    // In the order in which they were asked for, against all that had been granted by then.
    const granted = [...own];
    for (const hold of [...own].sort((a, b) => (a.askedNs < b.askedNs ? -1 : 1))) {
      while (granted[0] !== undefined && granted[0].grantedNs < hold.askedNs) {
        highest = Math.max(highest, granted[0].token);
        granted.shift();
      }
      if (hold.token <= highest) {
        violations.push(`${lock}: token ${hold.token} was granted after token ${highest} had been`);
      }
      if (seen.has(hold.token)) violations.push(`${lock}: token ${hold.token} was granted twice`);
      seen.add(hold.token);
    }
  }
  return violations;
}

function checkOverlaps(holds: readonly Hold[]): string[] {
  const violations: string[] = [];
  for (const [lock, own] of byLock(holds)) {
    let longest: Hold | null = null;
    for (const hold of own) {
      if (longest !== null && hold.grantedNs < longest.untilNs && hold.untilNs > hold.grantedNs) {
        violations.push(
          `${lock}: clients ${longest.client} (token ${longest.token}) and ${hold.client} (token ${hold.token}) held it at once`,
        );
      }
      if (longest === null || hold.untilNs > longest.untilNs) longest = hold;
    }
  }
  return violations;
}

function checkFencing(appends: readonly Operation[], holds: readonly Hold[]): string[] {
  const violations: string[] = [];
  const locks = byLock(holds);
  for (const append of appends) {
    const { lock, token, data } = append.arg as { lock?: string; token?: number; data: string };
    if (append.code !== 0 || lock === undefined || token === undefined) continue;
    const invokeNs = BigInt(append.invokeNs);
    const higher = locks.get(lock)?.find((hold) => hold.token > token && hold.grantedNs < invokeNs);
    if (higher !== undefined) {
      violations.push(
        `${append.key}: "${data}" was accepted under token ${token} after ${higher.token} was granted`,
      );
    }
  }
  return violations;
}

function byLock(holds: readonly Hold[]): Map<string, Hold[]> {
  const locks = new Map<string, Hold[]>();
  for (const hold of holds) {
    const own = locks.get(hold.lock) ?? [];
    own.push(hold);
    locks.set(hold.lock, own);
  }
  return locks;
}
