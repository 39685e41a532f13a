/** The public entry of the command line (`bramble/cli`): what the program with more commands than core's is made of. */

export type { Command, Context, Flag, Surroundings } from './command.ts';
export { humanDuration } from './durations.ts';
export { CommandError, EXIT, wrongUsage } from './exit.ts';
export { JSON_FLAG } from './flags.ts';
export { main } from './main.ts';
export { PARENT_PIPE_VARIABLE, watchParentPipe } from './parent-pipe.ts';
export { type Program, runProgram } from './program.ts';
export { spawnSelf } from './self.ts';
export { COMMANDS } from './table.ts';
