/** `bramble append`, `bramble read` and `bramble tail`. */

import { CODES } from '../../base/codes.ts';
import { RefusedError } from '../../base/errors.ts';
import { PAGE_BYTES_MAX, PAGE_RECORDS_MAX, RECORD_BYTES_MAX, RECORD_BYTES_MIN } from '../../base/limits.ts';
import type { Client } from '../../index.ts';
import { CONNECTION_EXITS, withClient } from '../client.ts';
import type { Command, Context, Flag } from '../command.ts';
import { EXIT, wrongUsage } from '../exit.ts';
import { CLIENT_FLAGS } from '../flags.ts';
import { readInput } from '../input.ts';
import { recordJson, recordLine } from '../record-text.ts';

export const APPEND: Command = {
  words: ['append'],
  family: 'client',
  summary: 'Append one record to a log and print its offset',
  details: [
    'The record is TEXT exactly as given, or all of stdin without TEXT; no newline is added. 1 byte to 1 MiB, any bytes.',
    'A log that a lock guards accepts only the current exclusive token of that lock. With --lock alone the lock is acquired, the record appended and the lock released. With --token as well the lock is one that somebody holds already. Inside bramble lock … -- CMD both come from the environment.',
  ],
  positionals: [{ name: 'LOG' }, { name: 'TEXT', optional: true }],
  flags: [
    {
      name: 'lock',
      type: 'text',
      placeholder: 'NAME',
      help: 'the lock that guards the log',
      configurable: true,
    },
    {
      name: 'token',
      type: 'integer',
      placeholder: 'N',
      help: 'the fencing token under which that lock is held',
      configurable: true,
    },
    ...CLIENT_FLAGS,
  ],
  exits: [...CONNECTION_EXITS, EXIT.lockLost],
  examples: [
    'bramble append file_7 "hello" --lock files',
    'bramble lock files -- sh -c "date | bramble append file_7"',
  ],
  async run(context) {
    const { settings, positionals, output } = context;
    const log = positionals[0] as string;
    const fence = readFence(context);
    const data =
      positionals[1] === undefined
        ? await readInput(context, RECORD_BYTES_MAX)
        : Buffer.from(positionals[1], 'utf8');
    if (data.length < RECORD_BYTES_MIN || data.length > RECORD_BYTES_MAX) {
      throw wrongUsage(
        `Cannot append to "${log}": the record has ${data.length > RECORD_BYTES_MAX ? 'more than 1 MiB' : 'no bytes'}; ` +
          'a record is 1 byte to 1 MiB',
      );
    }
    return withClient(context, async (client) => {
      const result = await (async () => {
        if (fence === null) return client.append(log, data);
        if (fence.token !== null) {
          return client.append(log, data, { token: { lock: fence.lock, token: fence.token } });
        }
        const lock = await client.lock(fence.lock);
        try {
          return await client.append(log, data, { lock });
        } finally {
          // What the append said is what counts; a release that fails leaves the lock to its lease.
          await lock
            .release()
            .catch((error: Error) => output.message(`The lock was not released: ${error.message}`));
        }
      })();
      if (settings.switch('json')) await output.json({ log, offset: result.offset });
      else await output.line(String(result.offset));
      return EXIT.fine;
    });
  },
};

/** The lock and the token of an append. BRAMBLE_TOKEN belongs to BRAMBLE_LOCK, not to another --lock. */
export function readFence(
  context: Pick<Context, 'settings' | 'environment'>,
): { readonly lock: string; readonly token: number | null } | null {
  const { settings } = context;
  const lock = settings.text('lock');
  let token = settings.number('token');
  if (settings.source('lock') === 'flag' && settings.source('token') === 'environment') {
    if (lock !== context.environment.BRAMBLE_LOCK) token = null;
  }
  if (lock === null && token !== null) {
    throw wrongUsage(`bramble append: --token ${token} needs --lock NAME, the lock that it is a token of`);
  }
  if (token === 0) throw wrongUsage('bramble append: --token must be at least 1');
  return lock === null ? null : { lock, token };
}

const FROM: Flag = {
  name: 'from',
  type: 'integer',
  placeholder: 'N',
  help: 'the offset of the first record (default: the first that is kept)',
};
const LIMIT: Flag = { name: 'limit', type: 'integer', placeholder: 'N', help: 'at most so many records' };
const STALE: Flag = {
  name: 'stale',
  type: 'switch',
  help: 'let any server answer from what it has, which may be old',
};

const RECORD_FORM =
  'Each record is printed as it is, and a newline after it unless it ends in one. With --json each is {"log","offset","data"}, and "encoding":"base64" beside it where the bytes are not UTF-8.';

export const READ: Command = {
  words: ['read'],
  family: 'client',
  summary: 'Print the records of a log in order',
  details: [RECORD_FORM],
  positionals: [{ name: 'LOG' }],
  flags: [FROM, LIMIT, STALE, ...CLIENT_FLAGS],
  exits: CONNECTION_EXITS,
  examples: ['bramble read file_7 --from 10 --limit 5', 'bramble read file_7 --json'],
  async run(context) {
    const { settings, positionals } = context;
    const log = positionals[0] as string;
    const limit = settings.number('limit') ?? Number.POSITIVE_INFINITY;
    const stale = settings.switch('stale');
    return withClient(context, async (client) => {
      let from = settings.number('from') ?? (await firstKept(client, log));
      let left = limit;
      let end: number | null = null;
      // In pages, so that a log of any length needs little memory; the first page says how far to go.
      let pageRecords = PAGE_RECORDS_FIRST;
      while (left > 0 && (end === null || from < end)) {
        const most = Math.min(left, pageRecords, (end ?? Number.POSITIVE_INFINITY) - from);
        const page = await client.read(log, { from, limit: most, stale });
        end ??= page.count;
        let bytes = 0;
        for (const record of page.records) {
          bytes += record.data.length;
          await printRecord(context, record);
        }
        if (page.records.length === 0) break;
        from = page.next;
        left -= page.records.length;
        pageRecords =
          bytes < PAGE_BYTES_MAX ? Math.min(2 * pageRecords, PAGE_RECORDS_MAX) : PAGE_RECORDS_FIRST;
      }
      return EXIT.fine;
    });
  },
};

export const TAIL: Command = {
  words: ['tail'],
  family: 'client',
  summary: 'Print the records of a log in order and, with --follow, those to come',
  details: [RECORD_FORM],
  positionals: [{ name: 'LOG' }],
  flags: [FROM, { name: 'follow', type: 'switch', help: 'wait for more, until Ctrl-C' }, ...CLIENT_FLAGS],
  exits: CONNECTION_EXITS,
  examples: ['bramble tail file_7 --follow', 'bramble tail file_7 --from 100 --follow --json'],
  async run(context) {
    const { settings, positionals } = context;
    const log = positionals[0] as string;
    return withClient(
      context,
      async (client) => {
        const from = settings.number('from') ?? (await firstKept(client, log));
        for await (const record of client.tail(log, { from, follow: settings.switch('follow') })) {
          await printRecord(context, record);
        }
        return EXIT.fine;
      },
      { endless: true },
    );
  },
};

/** A few at first, since each may be 1 MiB; more where records turn out to be small. */
const PAGE_RECORDS_FIRST = 16;

/** Without --from one means all that is there, and a trimmed log does not begin at 0. */
async function firstKept(client: Client, log: string): Promise<number> {
  try {
    await client.read(log, { from: 0, limit: 1 });
    return 0;
  } catch (error) {
    if (!(error instanceof RefusedError) || error.code !== CODES.trimmed) throw error;
    return (await client.logs.list()).find((each) => each.name === log)?.start ?? 0;
  }
}

async function printRecord(
  context: Context,
  record: { readonly log: string; readonly offset: number; readonly data: Uint8Array },
): Promise<void> {
  if (context.settings.switch('json')) {
    await context.output.json(recordJson(record.log, record.offset, record.data));
  } else {
    await context.output.write(recordLine(record.data));
  }
}
