// The bramble program.

import manifest from './package.json' with { type: 'json' };

process.stdout.write(`bramble ${manifest.version} node ${process.version}\n`);
