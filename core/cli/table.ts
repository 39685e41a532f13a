/** The command table of core, in the order in which help lists it. */

import type { Command } from './command.ts';
import { SERVER } from './commands/server.ts';
import { VERSION } from './commands/version.ts';

export const COMMANDS: readonly Command[] = [SERVER, VERSION];
