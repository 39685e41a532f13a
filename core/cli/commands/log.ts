/** `bramble log list | create | delete | trim`. */

import { CONNECTION_EXITS, withClient } from '../client.ts';
import type { Command } from '../command.ts';
import { EXIT, wrongUsage } from '../exit.ts';
import { CLIENT_FLAGS } from '../flags.ts';
import { columns } from '../record-text.ts';

export const LOG_LIST: Command = {
  words: ['log', 'list'],
  family: 'client',
  summary: 'List the logs and the lock that guards each',
  details: ['With --json a line is {"log","guard","start","count","bytes"}; count is the next offset.'],
  positionals: [],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble log list'],
  async run(context) {
    const { output, settings } = context;
    return withClient(context, async (client) => {
      const logs = await client.logs.list();
      if (settings.switch('json')) {
        for (const { name, guard, start, count, bytes } of logs) {
          await output.json({ log: name, guard, start, count, bytes });
        }
        return EXIT.fine;
      }
      const rows = [['LOG', 'GUARD', 'FIRST', 'NEXT', 'BYTES']];
      for (const log of logs) {
        rows.push([log.name, log.guard ?? '-', String(log.start), String(log.count), String(log.bytes)]);
      }
      for (const line of columns(rows)) await output.line(line);
      return EXIT.fine;
    });
  },
};

export const LOG_CREATE: Command = {
  words: ['log', 'create'],
  family: 'client',
  summary: 'Create a log',
  positionals: [{ name: 'NAME' }],
  flags: [
    {
      name: 'guard',
      type: 'text',
      placeholder: 'LOCK',
      help: 'only holders of this lock may append (default: everybody may)',
    },
    ...CLIENT_FLAGS,
  ],
  exits: CONNECTION_EXITS,
  examples: ['bramble log create audit --guard audit'],
  async run(context) {
    const { output, settings, positionals } = context;
    const name = positionals[0] as string;
    const guard = settings.text('guard');
    return withClient(context, async (client) => {
      await client.logs.create(name, guard === null ? {} : { guard });
      if (settings.switch('json')) await output.json({ log: name, guard });
      else output.message(`Created log "${name}"${guard === null ? '' : `, guarded by lock "${guard}"`}.`);
      return EXIT.fine;
    });
  },
};

export const LOG_DELETE: Command = {
  words: ['log', 'delete'],
  family: 'client',
  summary: 'Delete a log and all of its records',
  positionals: [{ name: 'NAME' }],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble log delete audit'],
  async run(context) {
    const { output, settings, positionals } = context;
    const name = positionals[0] as string;
    return withClient(context, async (client) => {
      await client.logs.delete(name);
      if (settings.switch('json')) await output.json({ log: name, deleted: true });
      else output.message(`Deleted log "${name}".`);
      return EXIT.fine;
    });
  },
};

export const LOG_TRIM: Command = {
  words: ['log', 'trim'],
  family: 'client',
  summary: 'Drop the oldest records of a log',
  details: ['Offsets stay as they are: reading below the first record that is kept is refused with code 8.'],
  positionals: [{ name: 'NAME' }],
  flags: [
    {
      name: 'before',
      type: 'integer',
      placeholder: 'N',
      help: 'the first offset that is kept (required)',
    },
    ...CLIENT_FLAGS,
  ],
  exits: CONNECTION_EXITS,
  examples: ['bramble log trim audit --before 1000'],
  async run(context) {
    const { output, settings, positionals } = context;
    const name = positionals[0] as string;
    const before = settings.number('before');
    if (before === null) {
      throw wrongUsage('bramble log trim: --before N is missing, the first offset that is kept');
    }
    return withClient(context, async (client) => {
      await client.logs.trim(name, before);
      if (settings.switch('json')) await output.json({ log: name, before });
      else output.message(`Trimmed log "${name}": it begins at ${before}.`);
      return EXIT.fine;
    });
  },
};
