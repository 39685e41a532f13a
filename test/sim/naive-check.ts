// A checker that tries every order, for histories of a handful of operations. It shares nothing with the real one but the
// reading of lines: no partitions, no shortcuts, one state machine for all, in which leases may end at any moment.

import type { History } from '#core/sim/index.ts';

type Operation = History['operations'][number];

interface Grant {
  readonly token: number;
  readonly shared: boolean;
  readonly owner: string;
  readonly depth: number;
}

interface State {
  readonly registers: ReadonlyMap<string, string | null>;
  readonly logs: ReadonlyMap<string, readonly string[]>;
  readonly grants: ReadonlyMap<string, readonly Grant[]>;
  readonly tokens: ReadonlyMap<string, number>;
}

const BEGINNING: State = { registers: new Map(), logs: new Map(), grants: new Map(), tokens: new Map() };

export function naiveVerdict(history: History): boolean {
  return !hasOverlap(history) && hasOrder(history.operations);
}

function hasOrder(operations: readonly Operation[]): boolean {
  const seen = new Set<string>();
  const search = (left: readonly Operation[], state: State): boolean => {
    if (left.every(({ outcome }) => outcome === 'unknown')) return true;
    const key = `${left.map(({ line }) => line).join()} ${shown(state)}`;
    if (seen.has(key)) return false;
    seen.add(key);
    const earliestEnd = Math.min(...left.map(({ complete }) => complete));
    return left
      .filter(({ invoke }) => invoke <= earliestEnd)
      .some((operation) =>
        next(state, operation, operations).some((after) =>
          search(
            left.filter((each) => each !== operation),
            after,
          ),
        ),
      );
  };
  return search(operations, BEGINNING);
}

function shown(state: State): string {
  return JSON.stringify(Object.values(state).map((map: ReadonlyMap<string, unknown>) => [...map].sort()));
}

function put<T>(map: ReadonlyMap<string, T>, key: string, value: T): ReadonlyMap<string, T> {
  return new Map(map).set(key, value);
}

/** The states after an operation, in which it was answered as the history says; none if that cannot be. */
function next(state: State, operation: Operation, all: readonly Operation[]): State[] {
  const { action, key, outcome, code } = operation;
  const done = outcome === 'done';
  const refused = outcome === 'refused';
  const value = state.registers.get(key) ?? null;
  const log = state.logs.get(key) ?? [];
  const same = [state];
  const set = (to: string | null): State[] => [{ ...state, registers: put(state.registers, key, to) }];
  switch (action.type) {
    case 'get':
      if (refused) return code !== 1 || value === null ? same : [];
      return !done || action.value === value ? same : [];
    case 'put':
      return refused ? same : set(action.value);
    case 'delete':
      if (refused) return code !== 1 || value === null ? same : [];
      return set(null);
    case 'cas':
      if (refused) return code !== 6 || value !== action.expect ? same : [];
      if (value === action.expect) return set(action.value);
      return done ? [] : same;
    case 'read': {
      if (refused) return code !== 1 || log.length === 0 ? same : [];
      const records = log.slice(action.from, action.from + (action.limit ?? 4_096));
      const expected = records.map((data, index) => ({ offset: action.from + index, data }));
      return !done || JSON.stringify(expected) === JSON.stringify(action.records) ? same : [];
    }
    case 'append': {
      const grown = [{ ...state, logs: put(state.logs, key, [...log, action.data]) }];
      const current =
        action.lock === null ||
        (state.grants.get(action.lock) ?? []).some(({ token, shared }) => token === action.token && !shared);
      if (done) return current && log.length === action.offset ? grown : [];
      if (!refused) return current ? grown : same;
      if (code === 1) return log.length === 0 ? same : [];
      if (code !== 2 || action.lock === null || action.token === null) return same;
      return overAfter(state, operation, { lock: action.lock, token: action.token }, all);
    }
    case 'acquire':
      return refused ? same : acquired(state, operation, all);
    case 'release': {
      if (!done && !refused) return [state, ...released(state, key, action.token)];
      if (done) return released(state, key, action.token);
      return code === 2 ? overAfter(state, operation, { lock: key, token: action.token }, all) : same;
    }
  }
}

function released(state: State, lock: string, token: number): State[] {
  const grants = state.grants.get(lock) ?? [];
  const grant = grants.find((each) => each.token === token);
  if (grant === undefined) return [];
  const left = grants.flatMap((each) =>
    each !== grant ? [each] : each.depth > 1 ? [{ ...each, depth: each.depth - 1 }] : [],
  );
  return [{ ...state, grants: put(state.grants, lock, left) }];
}

/** After a refusal the token is over, if its client could know it and it could have been accepted at all. */
function overAfter(
  state: State,
  refusal: Operation,
  { lock, token }: { lock: string; token: number },
  all: readonly Operation[],
): State[] {
  const grants = all.filter(
    ({ action, key }) => action.type === 'acquire' && key === lock && action.token === token,
  );
  const known = grants.some(
    ({ action, complete, client }) =>
      complete < refusal.invoke &&
      action.type === 'acquire' &&
      (refusal.action.type === 'release' ? client === refusal.client : !action.shared),
  );
  if (!known) return [state];
  const left = (state.grants.get(lock) ?? []).filter((each) => each.token !== token);
  return [{ ...state, grants: put(state.grants, lock, left) }];
}

function acquired(state: State, operation: Operation, all: readonly Operation[]): State[] {
  const { action, key, outcome } = operation;
  if (action.type !== 'acquire') return [];
  const grants = state.grants.get(key) ?? [];
  const states: State[] = [];
  const unknown = outcome === 'unknown';
  const reentry = grants.find(
    ({ token, owner }) => owner === action.owner && (unknown || token === action.token),
  );
  if (reentry !== undefined && action.depth > 1) {
    const deeper = grants.map((each) => (each === reentry ? { ...each, depth: each.depth + 1 } : each));
    states.push({ ...state, grants: put(state.grants, key, deeper) });
  }
  const highest = state.tokens.get(key) ?? -1;
  const tokens = unknown ? tokensOf(key, all) : [action.token as number];
  for (const token of tokens) {
    if (token <= highest) continue;
    const grant = { token, shared: action.shared, owner: action.owner, depth: 1 };
    // Leases of whoever is in the way are over; those beside which this one can stand stay.
    const beside = action.shared ? grants.filter(({ shared }) => shared) : [];
    states.push({
      ...state,
      tokens: put(state.tokens, key, token),
      grants: put(state.grants, key, [...beside, grant]),
    });
  }
  return unknown ? [...states, state] : states;
}

function tokensOf(lock: string, all: readonly Operation[]): number[] {
  const tokens = new Set<number>();
  for (const { action, key } of all) {
    if ((action.type === 'acquire' || action.type === 'release') && key === lock && action.token !== null) {
      tokens.add(action.token);
    }
    if (action.type === 'append' && action.lock === lock && action.token !== null) tokens.add(action.token);
  }
  return [...tokens];
}

/** Two that count on a lock at the same time, by the words of the rule. */
function hasOverlap({ operations, lost }: History): boolean {
  const holds: { lock: string; token: number; shared: boolean; from: number; until: number }[] = [];
  for (const grant of operations) {
    const { action, key, complete } = grant;
    if (action.type !== 'acquire' || action.token === null) continue;
    const first = operations.find(
      (each) =>
        each.action.type === 'acquire' &&
        each.key === key &&
        each.action.token === action.token &&
        each.action.depth === 1,
    );
    if (first !== undefined && first !== grant) continue;
    const { token, shared } = action;
    const entries = operations.filter(
      (each) => each.action.type === 'acquire' && each.key === key && each.action.token === token,
    ).length;
    const releases = operations
      .filter((each) => each.action.type === 'release' && each.key === key && each.action.token === token)
      .filter((each) => each.outcome === 'done' || each.client === grant.client)
      .filter(({ code }) => code === 0 || code === 2 || code === null)
      .sort((a, b) => a.invoke - b.invoke);
    const ends = [releases[entries - 1]?.invoke, releases.find(({ code }) => code === 2)?.invoke];
    for (const each of lost) if (each.key === key && each.token === token) ends.push(each.heldUntil);
    const known = ends.filter((each) => each !== undefined);
    // No end is known: it held the lock when it was told so.
    const until = known.length === 0 ? complete + 0.5 : Math.min(...known);
    if (until > complete) holds.push({ lock: key, token, shared, from: complete, until });
  }
  return holds.some((a, index) =>
    holds.slice(index + 1).some(
      (b) =>
        a.lock === b.lock &&
        a.token !== b.token &&
        // Of two that were merely told so at one moment nobody knows which was first.
        Math.max(a.until - a.from, b.until - b.from) > 0.5 &&
        !(a.shared && b.shared) &&
        a.from < b.until &&
        b.from < a.until,
    ),
  );
}
