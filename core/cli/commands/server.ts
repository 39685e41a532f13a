/** `bramble server`: one lock and log server. What it is made of is put together in server-command.ts. */

import type { Command } from '../command.ts';
import { readServerConfig, SERVER_FLAGS } from '../server-config.ts';

export const SERVER: Command = {
  words: ['server'],
  family: 'server',
  summary: 'Run one lock and log server',
  details: [
    'Once ready it prints one line, {"event":"listening","node","address","pid"}, and writes bramble.pid in its data directory. SIGTERM and Ctrl-C stop it cleanly.',
    'Without --peers it is a cluster of one. Bad values end with 78 wherever they come from, so that a service manager can tell them from a failure.',
  ],
  positionals: [],
  flags: SERVER_FLAGS,
  exitNotes: ['1 for a failure while running (a disk that fails, an address in use); stderr says which.'],
  examples: [
    'bramble server --node n1 --listen 10.0.0.11:7700 --data /var/lib/bramble --key-file cluster.key',
    'bramble server --insecure --listen 127.0.0.1:0 --data /tmp/n1',
  ],
  async run(context) {
    const config = readServerConfig(context.settings, context.folder);
    const { runServer } = await import('../server-command.ts');
    return runServer(config, context);
  },
};
