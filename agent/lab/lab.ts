/** `bramble lab`: what it takes. What it does is loaded when it runs, since other commands start without it. */

import { type Command, EXIT, JSON_FLAG } from 'bramble/cli';
import { PORT_DEFAULT } from './ports.ts';

export const LAB: Command = {
  words: ['lab'],
  family: 'lab',
  summary: 'Run a server on this machine and a workload against it',
  details: [
    'Starts a real server process with a key of its own, and clients that lock, append, read and change keys over UDP. What they ask and are told goes into a history (JSON lines). DIR/lab.json says what runs where, while it runs. Ctrl-C stops everything that was started.',
    'With --smoke it runs for some ten seconds, kills and restarts the server, pauses it and a lock’s holder for longer than a lease, then checks every promise against the history, prints a summary, and exits 0 or 1.',
    'With --json the first line is the object of lab.json; each further line is one event.',
  ],
  positionals: [],
  flags: [
    { name: 'nodes', type: 'integer', placeholder: 'N', help: 'servers; one is what there is', default: '1' },
    {
      name: 'port',
      type: 'integer',
      placeholder: 'PORT',
      help: `the server’s UDP port (default: the first free one from ${PORT_DEFAULT})`,
    },
    {
      name: 'dir',
      type: 'text',
      placeholder: 'DIR',
      help: 'where everything is kept (default: a temporary folder, removed at the end)',
    },
    { name: 'no-workload', type: 'switch', help: 'the server alone' },
    { name: 'smoke', type: 'switch', help: 'faults, a check, and the verdict as exit code' },
    JSON_FLAG,
  ],
  exits: [EXIT.no],
  exitNotes: ['1 with --smoke: a promise was broken, or the lab could not run.'],
  examples: ['bramble lab', 'bramble lab --smoke', 'bramble lab --dir ./lab --no-workload'],
  async run(context) {
    const { Lab } = await import('./run-lab.ts');
    return new Lab(context).run();
  },
};
