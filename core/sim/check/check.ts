/**
 * The checker: is this history linearizable?
 *
 * A history is taken apart into partitions, and each is judged by the search that fits it. One that cannot be right decides
 * the whole; one that could not be judged (out of time, or of states) leaves it open, unless another decides it.
 */

import { CHECK_STATES_MAX, CHECK_TIMEOUT_MS } from '../../base/limits.ts';
import type { Clock } from '../../base/ports.ts';
import { explainRegister } from './explain-register.ts';
import { type Finding, inTime } from './findings.ts';
import type { History, LostHold, Operation } from './history.ts';
import { judgeLocks } from './locks-and-logs.ts';
import { type Partition, partitions } from './partitions.ts';
import { RegisterShrinker } from './register-core.ts';
import { registerOperations } from './register-steps.ts';
import { searchRegister } from './registers.ts';

export type VerdictWord = 'linearizable' | 'not-linearizable' | 'unknown';

export interface Verdict {
  readonly verdict: VerdictWord;
  /** How many operations were judged. */
  readonly operations: number;
  readonly partitions: number;
  /** The partition that decides the verdict; null if all are right. */
  readonly partition: string | null;
  /** Sentences: why not, or why it could not tell. Empty if all is right. */
  readonly why: readonly string[];
  /** The offending part. */
  readonly finding: Finding | null;
}

export interface CheckOptions {
  /** For the time limit; without a clock there is none. */
  readonly clock?: Pick<Clock, 'now'>;
  readonly timeoutMs?: number;
  /** Orders that the search of one register may hold at once. */
  readonly statesMax?: number;
}

/** How much of the time is kept for cutting the offending part down. */
const SHRINK_FRACTION = 1 / 4;

class Deadline {
  readonly #clock: Pick<Clock, 'now'> | undefined;
  readonly #end: number;
  #calls = 0;
  #over = false;
  constructor(clock: Pick<Clock, 'now'> | undefined, durationMs: number) {
    this.#clock = clock;
    this.#end = (clock?.now() ?? 0) + durationMs;
  }
  /** Looks at the clock now and then: steps are shorter than a look is worth. */
  over(): boolean {
    if (this.#clock === undefined || this.#over) return this.#over;
    if (this.#calls++ % 16 === 0) this.#over = this.#clock.now() >= this.#end;
    return this.#over;
  }
}

/** Judges a history without a pause. */
export function checkHistory(history: History, options: CheckOptions = {}): Verdict {
  const steps = judge(history, options);
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
}

/** Judges step by step, so that the caller's loop can do something else in between, or stop. */
export function* judge(history: History, options: CheckOptions = {}): Generator<void, Verdict> {
  const { clock, timeoutMs = CHECK_TIMEOUT_MS, statesMax = CHECK_STATES_MAX } = options;
  const deadline = new Deadline(clock, timeoutMs * (1 - SHRINK_FRACTION));
  const shrinking = { clock, durationMs: timeoutMs * SHRINK_FRACTION };
  const parts = partitions(history);
  const base = { operations: history.operations.length, partitions: parts.length };
  // Small ones first: they take little time from the large ones.
  parts.sort((a, b) => a.operations.length - b.operations.length);
  let open: { readonly partition: string; readonly why: string } | null = null;
  for (const partition of parts) {
    const { name } = partition;
    if (deadline.over()) {
      open ??= { partition: name, why: 'The time was over before this part was judged.' };
      break;
    }
    const judged =
      partition.kind === 'register'
        ? yield* judgeRegister(partition, { deadline, statesMax, shrinking })
        : yield* within(judgeLocks(partition), deadline);
    switch (judged.type) {
      case 'linearizable':
        break;
      case 'not-linearizable':
        return {
          ...base,
          verdict: 'not-linearizable',
          partition: name,
          why: judged.finding.sentences,
          finding: judged.finding,
        };
      default:
        open ??= { partition: name, why: OPEN[judged.type] };
    }
  }
  if (open === null && history.truncated) {
    open = {
      partition: 'the whole',
      why: 'The history is larger than the checker takes; its beginning is right.',
    };
  }
  if (open === null) {
    return { ...base, verdict: 'linearizable', partition: null, why: [], finding: null };
  }
  return { ...base, verdict: 'unknown', partition: open.partition, why: [open.why], finding: null };
}

const OPEN = {
  'out-of-time': 'The time was over before all orders were tried.',
  'too-many-states':
    'So many operations overlap that their orders do not fit the memory that the checker allows itself.',
  'too-many-fillings':
    'There are too many ways in which the operations with unknown outcome may have happened.',
} as const;

/** Runs a search until it ends or the time is over. */
function* within<T>(
  search: Generator<void, T>,
  deadline: Deadline,
): Generator<void, T | { readonly type: 'out-of-time' }> {
  for (let step = search.next(); ; step = search.next()) {
    if (step.done === true) return step.value;
    if (deadline.over()) return { type: 'out-of-time' };
    yield;
  }
}

function* judgeRegister(
  partition: Partition,
  options: {
    readonly deadline: Deadline;
    readonly statesMax: number;
    readonly shrinking: { readonly clock: Pick<Clock, 'now'> | undefined; readonly durationMs: number };
  },
) {
  const { deadline, statesMax, shrinking } = options;
  const operations = registerOperations(partition.operations);
  const judged = yield* within(searchRegister(operations, statesMax), deadline);
  if (judged.type !== 'not-linearizable') return judged;
  const shrinker = new RegisterShrinker(operations, judged.at, statesMax);
  yield* within(shrinker.shrink(), new Deadline(shrinking.clock, shrinking.durationMs));
  return { type: 'not-linearizable' as const, finding: explainRegister(shrinker.best, operations) };
}

/** The lines of the offending part, in the format of a history, in the order of their times. */
export function shortest(finding: Finding | null): Readonly<Record<string, unknown>>[] {
  if (finding === null) return [];
  const time = (each: Operation | LostHold): number => ('invoke' in each ? each.invoke : each.heldUntil);
  return [...[...finding.operations].sort(inTime), ...finding.lost]
    .sort((a, b) => time(a) - time(b))
    .map(({ source }) => source);
}

/** The object that `bramble check --json` prints. */
export function verdictJson(verdict: Verdict): Record<string, unknown> {
  const { operations, partition, why, finding } = verdict;
  return { verdict: verdict.verdict, operations, partition, shortest: shortest(finding), why };
}
