/** `bramble check`: is this history linearizable? Reads the file line by line and shows the shortest part that is wrong. */

import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { CHECK_TIMEOUT_MS, HISTORY_LINE_CHARACTERS_MAX } from '../../base/limits.ts';
import { nodeClock } from '../../node/clock.ts';
import {
  drawing,
  type History,
  HistoryError,
  HistoryReader,
  judge,
  timeline,
  type Verdict,
  verdictJson,
} from '../../sim/index.ts';
import type { Command, Context } from '../command.ts';
import { formatDuration } from '../durations.ts';
import { EXIT, wrongUsage } from '../exit.ts';
import { JSON_FLAG } from '../flags.ts';
import { fromFolder } from '../paths.ts';

const EXITS = { linearizable: EXIT.fine, 'not-linearizable': EXIT.no, unknown: EXIT.unknown } as const;

/** Work between two turns of the loop, so that Ctrl-C and the progress line have theirs. */
const TURN_MS = 50;

export const CHECK: Command = {
  words: ['check'],
  family: 'local',
  summary: 'Is this history linearizable? With the shortest offending part if not',
  details: [
    'FILE holds one JSON object a line, as bramble lab and bramble chaos write them; - is stdin. Each register, and each lock with the logs that it guards, is judged by itself: is there an order of its operations in which each happened between its beginning and its end, and in which a register, lock or log could have given these answers?',
    'If not, it prints why and the few operations that contradict each other. --html draws them. The work is bounded in time and memory; what could not be judged within them is said to be unknown.',
  ],
  positionals: [{ name: 'FILE' }],
  flags: [
    { name: 'html', type: 'text', placeholder: 'OUT', help: 'write a page that draws the offending part' },
    {
      name: 'timeout',
      type: 'duration',
      placeholder: 'TIME',
      help: 'give up and say unknown after this time',
      default: formatDuration(CHECK_TIMEOUT_MS),
    },
    JSON_FLAG,
  ],
  exits: [EXIT.no, EXIT.unknown],
  exitNotes: ['0 linearizable · 1 not linearizable · 2 not a history · 3 could not tell'],
  examples: ['bramble check history.jsonl', 'bramble check history.jsonl --html offending.html'],
  async run(context) {
    const { positionals, folder, output, settings } = context;
    const name = positionals[0] as string;
    const history = await readFile(context, name);
    const timeoutMs = settings.number('timeout') ?? CHECK_TIMEOUT_MS;
    const verdict = await judged(context, history, timeoutMs);
    const page = settings.text('html');
    if (page !== null) {
      const path = fromFolder(folder, page);
      try {
        await writeFile(path, drawing(verdict, name === '-' ? 'stdin' : basename(name)));
      } catch (error) {
        throw wrongUsage(`Cannot write ${path}: ${(error as Error).message}`);
      }
    }
    if (settings.switch('json')) await output.json(verdictJson(verdict));
    else await print(context, verdict, timeoutMs);
    return EXITS[verdict.verdict];
  },
};

async function readFile(context: Context, name: string): Promise<History> {
  const reader = new HistoryReader();
  const path = fromFolder(context.folder, name);
  const stream = name === '-' ? context.stdin() : createReadStream(path, { highWaterMark: 1_048_576 });
  try {
    await readLines(stream, (line) => reader.add(line));
  } catch (error) {
    if (error instanceof HistoryError) throw wrongUsage(`Cannot check ${name}: ${error.message}`);
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw wrongUsage(`Cannot read ${path}: ${(error as Error).message}`);
  }
  return reader.finish();
}

/** Hands over each line; ends when `take` says that it has enough. A line in memory is bounded. */
async function readLines(stream: NodeJS.ReadableStream, take: (line: string) => boolean): Promise<void> {
  stream.setEncoding('utf8');
  let rest = '';
  let lines = 0;
  for await (const part of stream) {
    const pieces = (rest + (part as string)).split('\n');
    rest = pieces.pop() as string;
    lines += pieces.length;
    for (const line of pieces) if (!take(line)) return;
    if (rest.length > HISTORY_LINE_CHARACTERS_MAX) {
      throw new HistoryError(
        lines + 1,
        `is longer than ${HISTORY_LINE_CHARACTERS_MAX} characters: is this a history?`,
      );
    }
  }
  if (rest !== '') take(rest);
}

async function judged(context: Context, history: History, timeoutMs: number): Promise<Verdict> {
  const { output } = context;
  const steps = judge(history, { clock: nodeClock, timeoutMs });
  const startedAt = nodeClock.now();
  let turnAt = startedAt;
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) {
      output.progress('');
      return step.value;
    }
    const now = nodeClock.now();
    if (now - turnAt < TURN_MS) continue;
    output.progress(
      `Judging ${history.operations.length} operations … ${Math.round((now - startedAt) / 1_000)} s`,
    );
    await new Promise<void>((resolve) => nodeClock.soon(resolve));
    turnAt = nodeClock.now();
  }
}

async function print({ output }: Context, verdict: Verdict, timeoutMs: number): Promise<void> {
  const { operations, partition, why, finding, partitions } = verdict;
  switch (verdict.verdict) {
    case 'linearizable':
      await output.line(
        `${output.colour('green', 'linearizable')}: ${operations} operations in ${partitions} ${partitions === 1 ? 'part' : 'parts'}`,
      );
      return;
    case 'unknown':
      await output.line(`${output.colour('yellow', 'unknown')}: could not judge ${partition}`);
      for (const sentence of why) await output.line(sentence);
      await output.line(
        `Within --timeout ${formatDuration(timeoutMs)} nothing wrong was found among ${operations} operations.`,
      );
      return;
    case 'not-linearizable': {
      await output.line(`${output.colour('red', 'not linearizable')}: ${partition}\n`);
      for (const sentence of why) await output.line(sentence);
      if (finding === null) return;
      const bold = (text: string): string => output.colour('bold', text);
      await output.line(
        `\nThese ${finding.operations.length + finding.lost.length} of ${operations} operations cannot be right together:\n`,
      );
      for (const line of timeline(finding, bold)) await output.line(line);
    }
  }
}
