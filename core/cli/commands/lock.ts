/** `bramble lock …` and `bramble elect`. */

import { CONNECTION_EXITS, withClient } from '../client.ts';
import type { Command, Context, Flag } from '../command.ts';
import { formatDuration } from '../durations.ts';
import { EXIT, wrongUsage } from '../exit.ts';
import { CLIENT_FLAGS } from '../flags.ts';
import { type HoldOptions, holdFor, holdOpen } from '../hold.ts';
import { columns } from '../record-text.ts';

const TTL: Flag = {
  name: 'ttl',
  type: 'duration',
  placeholder: 'TIME',
  help: 'how long the lock outlives a holder that has gone silent; too short an ask is raised',
  default: '2s',
  configurable: true,
};

const WRAPPER_DETAILS: readonly string[] = [
  'CMD runs in a process group of its own, under a watcher that holds the lease’s deadline: when the lock is lost or cannot be renewed, the group gets TERM an eighth of the ttl before the lease ends and KILL just before it does. Killing or stopping this program does not leave CMD running past its lease. Processes that leave the group (setsid, daemons) and a stopped watcher are covered only by the fencing token: what they append late is refused.',
  'When CMD has ended, what is left of its group is ended too, and then the lock is released. INT, TERM, HUP and QUIT are passed on to the group. CMD finds BRAMBLE_LOCK and BRAMBLE_TOKEN in its environment, and what it needs to reach the same servers.',
];

const CMD_EXITS: readonly string[] = [
  'With CMD: CMD’s own code, 128+n if signal n ended it, 127 if it was not found, 126 if it could not be run.',
];

export const LOCK: Command = {
  words: ['lock'],
  family: 'client',
  summary: 'Run CMD while holding a lock, or hold it until Ctrl-C',
  details: [
    'Waits its turn, first come first served: for ever, or as --wait and --try say. Without CMD it prints the fencing token and holds the lock until Ctrl-C, which releases it and exits 0.',
    ...WRAPPER_DETAILS,
    'A lock that is called like a sub-command (list, release) is reached as bramble lock list -- CMD.',
  ],
  positionals: [{ name: 'NAME' }],
  child: 'optional',
  flags: [
    { name: 'shared', type: 'switch', help: 'share it with other shared holders' },
    TTL,
    {
      name: 'wait',
      type: 'duration',
      placeholder: 'TIME',
      help: 'give up waiting after this time (default: never)',
      configurable: true,
    },
    { name: 'try', type: 'switch', help: 'do not wait at all' },
    {
      name: 'conflict-exit-code',
      type: 'integer',
      placeholder: 'N',
      help: 'the exit code when the lock is not obtained',
      default: '1',
      configurable: true,
    },
    ...CLIENT_FLAGS,
  ],
  exits: [EXIT.no, ...CONNECTION_EXITS, EXIT.lockLost],
  exitNotes: CMD_EXITS,
  examples: [
    'bramble lock files -- sh -c "date | bramble append file_7"',
    'bramble lock nightly --try --conflict-exit-code 0 -- ./backup.sh',
    'bramble lock files --wait 10s',
  ],
  async run(context) {
    const { settings } = context;
    const name = context.positionals[0] as string;
    if (settings.switch('try') && settings.source('wait') === 'flag') {
      throw wrongUsage(
        'bramble lock: --try does not wait, so --wait beside it says nothing; give one of them',
      );
    }
    const conflictExit = settings.number('conflict-exit-code') as number;
    if (conflictExit > 255) {
      throw wrongUsage(`bramble lock: --conflict-exit-code must be at most 255, not ${conflictExit}`);
    }
    return hold(context, {
      name,
      shared: settings.switch('shared'),
      ttlMs: settings.number('ttl'),
      waitMs: settings.switch('try') ? null : settings.number('wait'),
      try: settings.switch('try'),
      conflictExit,
      waiting: `Waiting for lock "${name}"`,
    });
  },
};

export const ELECT: Command = {
  words: ['elect'],
  family: 'client',
  summary: 'Run CMD while leader of an election',
  details: [
    'An election is the exclusive lock NAME: whoever holds it is the leader, and its fencing token is the term of office. Waits for ever, in the order of arrival.',
    ...WRAPPER_DETAILS,
  ],
  positionals: [{ name: 'NAME' }],
  child: 'required',
  flags: [TTL, ...CLIENT_FLAGS],
  exits: [...CONNECTION_EXITS, EXIT.lockLost],
  exitNotes: CMD_EXITS,
  examples: ['bramble elect scheduler -- ./scheduler'],
  async run(context) {
    const name = context.positionals[0] as string;
    return hold(context, {
      name,
      shared: false,
      ttlMs: context.settings.number('ttl'),
      waitMs: null,
      try: false,
      conflictExit: EXIT.no,
      waiting: `Waiting to be leader of "${name}"`,
    });
  },
};

function hold(context: Context, options: HoldOptions): Promise<number> {
  return context.child === null ? holdOpen(context, options) : holdFor(context, options, context.child);
}

export const LOCK_LIST: Command = {
  words: ['lock', 'list'],
  family: 'client',
  summary: 'List the locks that somebody holds or waits for',
  details: [
    'With --json a line is {"lock","grants","waiters"}; remainingMs is what is left of a lease on the leader’s clock, below 0 when it is over and nobody waits.',
  ],
  positionals: [],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble lock list --json'],
  async run(context) {
    const { output, settings } = context;
    return withClient(context, async (client) => {
      const locks = await client.locks.list();
      if (settings.switch('json')) {
        for (const lock of locks) await output.json(lock);
        return EXIT.fine;
      }
      if (locks.length === 0) {
        output.message('Nobody holds or waits for a lock.');
        return EXIT.fine;
      }
      const rows = [['LOCK', 'MODE', 'TOKEN', 'SESSION', 'LEASE LEFT', 'WAITERS']];
      for (const lock of locks) {
        const waiters = String(lock.waiters.length);
        if (lock.grants.length === 0) rows.push([lock.lock, '-', '-', '-', '-', waiters]);
        for (const grant of lock.grants) {
          const left =
            grant.remainingMs <= 0 ? 'over, and nobody waits' : formatDuration(Math.round(grant.remainingMs));
          rows.push([lock.lock, grant.mode, String(grant.token), String(grant.session), left, waiters]);
        }
      }
      for (const line of columns(rows)) await output.line(line);
      return EXIT.fine;
    });
  },
};

export const LOCK_RELEASE: Command = {
  words: ['lock', 'release'],
  family: 'client',
  summary: 'Take a lock away from whoever holds it',
  details: [
    'The holder is told so on its next call, and its token is no longer current. The servers log and count it. A lock that you hold yourself is released by the program that holds it.',
  ],
  positionals: [{ name: 'NAME' }],
  flags: [{ name: 'force', type: 'switch', help: 'yes, from somebody else (required)' }, ...CLIENT_FLAGS],
  exits: CONNECTION_EXITS,
  examples: ['bramble lock release files --force'],
  async run(context) {
    const { output, settings, positionals } = context;
    const name = positionals[0] as string;
    if (!settings.switch('force')) {
      throw wrongUsage(
        `bramble lock release: this takes "${name}" away from whoever holds it; say --force if you mean it`,
      );
    }
    return withClient(context, async (client) => {
      await client.locks.forceRelease(name);
      if (settings.switch('json')) await output.json({ lock: name, released: true });
      else output.message(`Released lock "${name}".`);
      return EXIT.fine;
    });
  },
};
