/**
 * Why the smallest part of a register's history cannot be right, in words. The common mistakes have a sentence of their own:
 * a value that nobody wrote, one from the future, one that was overwritten, a change that was made twice.
 */

import { type Finding, finding } from './findings.ts';
import type { Value } from './history.ts';
import type { RegisterCore } from './register-core.ts';
import type { RegisterOperation } from './register-steps.ts';
import { capital, deed, quoted, span } from './words.ts';

export function explainRegister(core: RegisterCore, all: readonly RegisterOperation[]): Finding {
  // The core's own entries may be cut off at the place where it shows; the whole ones are for showing.
  const inCore = new Set(core.operations.map(({ operation }) => operation));
  const operations = all.filter(({ operation }) => inCore.has(operation));
  const at = operations.find(({ operation }) => operation === core.at.operation) as RegisterOperation;
  const shown = [...operations, ...origins(operations, all)];
  return finding(
    sentences(operations, at, all),
    at.operation,
    shown.map(({ operation }) => operation),
  );
}

/** For each value that the part sees and does not write: the write that it most likely came from. */
function origins(part: readonly RegisterOperation[], all: readonly RegisterOperation[]): RegisterOperation[] {
  const found = new Set<RegisterOperation>();
  for (const { step, invoke } of part) {
    if (step.type !== 'look' && step.type !== 'swap') continue;
    if (part.some((each) => writes(each, step.expect))) continue;
    const origin = lastBefore(all, step.expect, invoke) ?? all.find((each) => writes(each, step.expect));
    if (origin !== undefined) found.add(origin);
  }
  return [...found];
}

function sentences(
  part: readonly RegisterOperation[],
  at: RegisterOperation,
  all: readonly RegisterOperation[],
): string[] {
  const { operation, step } = at;
  const what = capital(deed(operation));
  if (step.type === 'look' || step.type === 'swap') {
    const wanted = step.expect;
    const writers = all.filter((each) => writes(each, wanted));
    if (wanted !== null && writers.length === 0) return [`${what}, but nobody ever wrote ${quoted(wanted)}.`];
    const earliest = writers.reduce<RegisterOperation | null>(
      (best, each) => (best === null || each.invoke < best.invoke ? each : best),
      null,
    );
    if (wanted !== null && earliest !== null && earliest.invoke > operation.complete) {
      const early = span(earliest.invoke - operation.complete);
      return [
        `${what}, ${early} before the first to write that value had begun: ${deed(earliest.operation)}.`,
      ];
    }
    const stale = staleSentence(part, at, wanted);
    if (stale !== null) return [`${what}, ${stale}`];
  }
  if (part.length === 1) return [`${what}, and nothing in this history makes that possible.`];
  return (
    twiceChanged(part) ?? [
      `There is no order of these ${part.length} operations on register ${operation.key} in which each saw what it saw and none happened before it began or after it ended.`,
      `It shows at the operation that was the last to end: ${deed(operation)}.`,
    ]
  );
}

/** More changes from a value than it can have had, and nothing else. */
function twiceChanged(part: readonly RegisterOperation[]): string[] | null {
  const swaps = part.filter((each) => each.step.type === 'swap');
  const [first] = swaps;
  if (first === undefined || swaps.length < 2 || first.step.type !== 'swap') return null;
  const { expect } = first.step;
  if (!swaps.every(({ step }) => step.type === 'swap' && step.expect === expect)) return null;
  const writers = part.filter((each) => writes(each, expect));
  if (swaps.length + writers.length < part.length || writers.length >= swaps.length) return null;
  const from = expect === null ? 'nothing' : quoted(expect);
  const clients = swaps.map(({ operation }) => operation.client);
  const times = swaps.length === 2 ? 'only once' : `fewer than ${swaps.length} times`;
  return [
    `Clients ${clients.join(' and ')} each changed register ${first.operation.key} from ${from}, but it held that ${times}.`,
  ];
}

/** `which had been overwritten …`, if every source of the value had been by one write of the part. */
function staleSentence(
  part: readonly RegisterOperation[],
  { operation }: RegisterOperation,
  wanted: Value,
): string | null {
  const over = part.find(
    (each) =>
      each.operation !== operation &&
      (each.step.type === 'write' || each.step.type === 'swap') &&
      each.step.value !== wanted &&
      each.complete < operation.invoke,
  );
  if (over === undefined || part.length > 3) return null;
  const others = part.filter((each) => each !== over && each.operation !== operation);
  if (!others.every((each) => writes(each, wanted) && each.complete < over.invoke)) return null;
  const gap = span(operation.invoke - over.complete);
  const value = wanted === null ? 'although' : 'but that value had been overwritten:';
  return `${value} ${deed(over.operation)}, which ended ${gap} before this began.`;
}

function writes(each: RegisterOperation, value: Value): boolean {
  return (each.step.type === 'write' || each.step.type === 'swap') && each.step.value === value;
}

/** The last write of a value that had ended before a time. */
function lastBefore(
  all: readonly RegisterOperation[],
  value: Value,
  time: number,
): RegisterOperation | undefined {
  let best: RegisterOperation | undefined;
  for (const each of all) {
    if (!writes(each, value) || each.invoke > time) continue;
    if (best === undefined || each.invoke > best.invoke) best = each;
  }
  return best;
}
