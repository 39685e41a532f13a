/** Flags that several commands share, each described once. */

import type { Flag } from './command.ts';

export const JSON_FLAG: Flag = {
  name: 'json',
  type: 'switch',
  help: 'print one JSON object a line on stdout, and nothing else there',
  configurable: true,
};

export const CONFIG_FLAG: Flag = {
  name: 'config',
  type: 'text',
  placeholder: 'FILE',
  help: 'JSON object of flags, their names in camelCase',
  configurable: true,
};

/** What every client command takes. */
export const CLIENT_FLAGS: readonly Flag[] = [
  {
    name: 'servers',
    type: 'list',
    placeholder: 'HOST:PORT,…',
    help: 'servers to turn to, in any order (port 7700 if none is given)',
    default: '127.0.0.1:7700',
    configurable: true,
  },
  {
    name: 'key-file',
    type: 'text',
    placeholder: 'FILE',
    help: 'the key to talk to the servers with (bramble key derive makes it)',
    configurable: true,
  },
  {
    name: 'insecure',
    type: 'switch',
    help: 'talk without any key, to servers that do so too',
    configurable: true,
  },
  {
    name: 'timeout',
    type: 'duration',
    placeholder: 'TIME',
    help: 'how long one answer may take (it does not bound the wait for a lock)',
    default: '10s',
    configurable: true,
  },
  CONFIG_FLAG,
  JSON_FLAG,
];
