/** `bramble members` and `bramble transfer-leader`: who is in the cluster, and who leads it. */

import { NODE_ID_PATTERN } from '../../base/limits.ts';
import { parseAddress } from '../addresses.ts';
import { CONNECTION_EXITS, withClient } from '../client.ts';
import type { Command } from '../command.ts';
import { EXIT, wrongUsage } from '../exit.ts';
import { CLIENT_FLAGS } from '../flags.ts';
import { columns } from '../record-text.ts';

export const MEMBERS_LIST: Command = {
  words: ['members', 'list'],
  family: 'client',
  summary: 'Show the servers of the cluster',
  details: ['With --json a line is {"id","address","role","voter","reachable"}.'],
  positionals: [],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble members list'],
  async run(context) {
    const { output, settings } = context;
    return withClient(context, async (client) => {
      const { members } = await client.status();
      const rows = [['MEMBER', 'ADDRESS', 'ROLE', 'VOTES', 'REACHABLE']];
      for (const { id, address, role, voter, reachable } of members) {
        if (settings.switch('json')) await output.json({ id, address, role, voter, reachable });
        rows.push([id, address, role, voter ? 'yes' : 'no', reachable ? 'yes' : 'no']);
      }
      if (!settings.switch('json')) for (const line of columns(rows)) await output.line(line);
      return EXIT.fine;
    });
  },
};

export const MEMBERS_ADD: Command = {
  words: ['members', 'add'],
  family: 'client',
  summary: 'Let a server into the cluster',
  details: [
    'Start it first with --join and an empty directory: it asks to be let in, and this command agrees. It gets the log as a learner and votes by itself once it has caught up.',
  ],
  positionals: [{ name: 'ID=HOST:PORT' }],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble members add n4=10.0.0.14:7700'],
  async run(context) {
    const { node, address } = readMember(context.positionals[0] as string);
    return withClient(context, async (client) => {
      await client.members.add(node, address);
      return done(context, node, 'added');
    });
  },
};

export const MEMBERS_REMOVE: Command = {
  words: ['members', 'remove'],
  family: 'client',
  summary: 'Take a server out of the cluster',
  details: ['Its directory keeps what it has, and is of no use to the cluster any more.'],
  positionals: [{ name: 'ID' }],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble members remove n4'],
  async run(context) {
    const node = readNode(context.positionals[0] as string);
    return withClient(context, async (client) => {
      await client.members.remove(node);
      return done(context, node, 'removed');
    });
  },
};

export const TRANSFER_LEADER: Command = {
  words: ['transfer-leader'],
  family: 'client',
  summary: 'Hand the leadership to another server',
  details: ['Without ID the leader chooses the one with the longest log.'],
  positionals: [{ name: 'ID', optional: true }],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble transfer-leader n2'],
  async run(context) {
    const { positionals, output, settings } = context;
    const node = positionals[0] === undefined ? '' : readNode(positionals[0]);
    return withClient(context, async (client) => {
      await client.members.transferLeader(node);
      if (settings.switch('json')) await output.json({ transferred: true, to: node === '' ? null : node });
      return EXIT.fine;
    });
  },
};

async function done(
  { output, settings }: Pick<Parameters<Command['run']>[0], 'output' | 'settings'>,
  node: string,
  what: 'added' | 'removed',
): Promise<number> {
  if (settings.switch('json')) await output.json({ member: node, [what]: true });
  return EXIT.fine;
}

function readNode(text: string): string {
  if (NODE_ID_PATTERN.test(text)) return text;
  throw wrongUsage(`${JSON.stringify(text)} is no server's name; it must be 1 to 32 of a-z, 0-9 and -`);
}

function readMember(text: string): { readonly node: string; readonly address: string } {
  const separator = text.indexOf('=');
  const address = separator < 0 ? null : parseAddress(text.slice(separator + 1));
  if (address === null) {
    throw wrongUsage(`${JSON.stringify(text)} is no member; write ID=HOST:PORT, such as n4=10.0.0.14:7700`);
  }
  return { node: readNode(text.slice(0, separator)), address };
}
