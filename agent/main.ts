// The bramble program's first file: turns on Node's compile cache, which keeps the stripped and compiled sources of a
// checkout, so that a command starts in a third of the time; then runs the program. The cache lies in node_modules, where
// only whoever may change the program itself can write.

import { enableCompileCache } from 'node:module';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';

if (!isSea()) enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/bramble', import.meta.url)));

// Imported only now: what is imported statically is compiled before the first line runs.
await import('./program.ts');
