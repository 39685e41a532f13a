/** What the operations of a history say about one register: what each asks of its value, and what it leaves. */

import type { Operation, Value } from './history.ts';

/** What an operation asks of the value, and what it leaves. */
export type RegisterStep =
  | { readonly type: 'look'; readonly expect: Value }
  /** A cas that failed: the value was another one. */
  | { readonly type: 'look-not'; readonly expect: Value }
  | { readonly type: 'write'; readonly value: Value }
  | { readonly type: 'swap'; readonly expect: Value; readonly value: Value };

export interface RegisterOperation {
  readonly operation: Operation;
  readonly step: RegisterStep;
  readonly invoke: number;
  /** Infinite: unknown, so optional. */
  readonly complete: number;
}

/** What an operation says about its register; null: nothing (it did not happen, or nobody learned anything). */
export function registerStep(operation: Operation): RegisterStep | null {
  const { action, outcome, code } = operation;
  const refused = outcome === 'refused';
  switch (action.type) {
    case 'get':
      if (outcome === 'unknown') return null;
      if (refused) return code === 1 ? { type: 'look', expect: null } : null;
      return { type: 'look', expect: action.value };
    case 'put':
      return refused ? null : { type: 'write', value: action.value };
    case 'delete':
      if (refused) return code === 1 ? { type: 'look', expect: null } : null;
      return { type: 'write', value: null };
    case 'cas':
      if (refused) return code === 6 ? { type: 'look-not', expect: action.expect } : null;
      if (action.expect !== action.value) {
        return { type: 'swap', expect: action.expect, value: action.value };
      }
      return outcome === 'unknown' ? null : { type: 'look', expect: action.expect };
    default:
      return null;
  }
}

export function registerOperations(operations: readonly Operation[]): RegisterOperation[] {
  const steps: RegisterOperation[] = [];
  for (const operation of operations) {
    const step = registerStep(operation);
    if (step === null) continue;
    steps.push({ operation, step, invoke: operation.invoke, complete: operation.complete });
  }
  return steps;
}

export function isLook(step: RegisterStep): step is Extract<RegisterStep, { type: 'look' | 'look-not' }> {
  return step.type === 'look' || step.type === 'look-not';
}
