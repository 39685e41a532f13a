/** The command table of core, in the order in which help lists it. */

import type { Command } from './command.ts';
import { CHECK } from './commands/check.ts';
import { PING, STATUS } from './commands/cluster.ts';
import { KEY_DERIVE, KEY_NEW } from './commands/key.ts';
import { KV_CAS, KV_DELETE, KV_GET, KV_LIST, KV_PUT, KV_WATCH } from './commands/kv.ts';
import { ELECT, LOCK, LOCK_LIST, LOCK_RELEASE } from './commands/lock.ts';
import { LOG_CREATE, LOG_DELETE, LOG_LIST, LOG_TRIM } from './commands/log.ts';
import { MEMBERS_ADD, MEMBERS_LIST, MEMBERS_REMOVE, TRANSFER_LEADER } from './commands/members.ts';
import { APPEND, READ, TAIL } from './commands/records.ts';
import { SERVER } from './commands/server.ts';
import { VERSION } from './commands/version.ts';
import { WATCH } from './watcher.ts';

export const COMMANDS: readonly Command[] = [
  SERVER,
  PING,
  STATUS,
  LOCK,
  LOCK_LIST,
  LOCK_RELEASE,
  ELECT,
  APPEND,
  READ,
  TAIL,
  LOG_LIST,
  LOG_CREATE,
  LOG_DELETE,
  LOG_TRIM,
  KV_GET,
  KV_PUT,
  KV_DELETE,
  KV_CAS,
  KV_LIST,
  KV_WATCH,
  MEMBERS_LIST,
  MEMBERS_ADD,
  MEMBERS_REMOVE,
  TRANSFER_LEADER,
  CHECK,
  KEY_NEW,
  KEY_DERIVE,
  VERSION,
  WATCH,
];
