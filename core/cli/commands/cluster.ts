/** `bramble ping` and `bramble status`. */

import type { ClusterStatus } from '../../index.ts';
import { CONNECTION_EXITS, withClient } from '../client.ts';
import type { Command } from '../command.ts';
import { humanDuration } from '../durations.ts';
import { EXIT } from '../exit.ts';
import { CLIENT_FLAGS } from '../flags.ts';
import { columns } from '../record-text.ts';

export const PING: Command = {
  words: ['ping'],
  family: 'client',
  summary: 'Measure the round trip to each server',
  details: [
    'Exits 0 if at least one server answers. With --json a line is {"address","node","roundTripMs","problem"}; node and roundTripMs are null where no answer came.',
  ],
  positionals: [],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble ping --servers 10.0.0.11:7700,10.0.0.12:7700'],
  async run(context) {
    const { output, settings } = context;
    return withClient(context, async (client) => {
      for (const { address, node, roundTripMs, problem } of await client.ping()) {
        if (settings.switch('json')) await output.json({ address, node, roundTripMs, problem });
        else if (node === null)
          await output.line(`${address}: ${output.colour('red', problem ?? 'no answer')}`);
        else await output.line(`${address}: ${node}, ${humanDuration(roundTripMs ?? 0)}`);
      }
      return EXIT.fine;
    });
  },
};

export const STATUS: Command = {
  words: ['status'],
  family: 'client',
  summary: 'Show members, leader, term, indexes and health',
  details: [
    'With --json it is one object: {"leader","term","cluster","clusterId","members":[{"id","address","role","voter","commitIndex","appliedIndex","durableIndex","reachable"}],"servers":[…]}; leader is null where there is none.',
  ],
  positionals: [],
  flags: CLIENT_FLAGS,
  exits: CONNECTION_EXITS,
  examples: ['bramble status', 'bramble status --json'],
  async run(context) {
    const { output, settings } = context;
    return withClient(context, async (client) => {
      const status = await client.status();
      if (settings.switch('json')) {
        await output.json(status);
        return EXIT.fine;
      }
      const leader = status.leader ?? output.colour('red', 'none');
      await output.line(
        `cluster ${status.cluster} (${status.clusterId}), leader ${leader}, term ${status.term}`,
      );
      for (const line of columns(memberRows(status))) await output.line(line);
      for (const server of status.servers) {
        if (server.status === null) {
          await output.line(`${server.address}: ${output.colour('red', server.problem ?? 'no answer')}`);
        } else if (server.status.health !== 'ok') {
          await output.line(`${server.status.node}: ${output.colour('yellow', server.status.health)}`);
        }
      }
      if (status.servers.some((server) => server.status?.insecure === true)) {
        output.message('This cluster is insecure: anybody who can send it a datagram can do anything.');
      }
      return EXIT.fine;
    });
  },
};

function memberRows(status: ClusterStatus): string[][] {
  const rows = [['MEMBER', 'ADDRESS', 'ROLE', 'COMMITTED', 'APPLIED', 'LAG', 'REACHABLE']];
  const newest = Math.max(0, ...status.members.map((member) => member.commitIndex));
  for (const member of status.members) {
    rows.push([
      member.id,
      member.address,
      member.voter ? member.role : `${member.role}, no voter`,
      String(member.commitIndex),
      String(member.appliedIndex),
      String(newest - member.appliedIndex),
      member.reachable ? 'yes' : 'no',
    ]);
  }
  return rows;
}
