// Loaded into a real server before its own code (NODE_OPTIONS=--import=…): from when the file named by
// TEST_FAIL_FDATASYNC exists, every fdatasync fails as on a dying card.

import fs from 'node:fs';

const marker = process.env.TEST_FAIL_FDATASYNC as string;
const real = fs.fdatasync;

function failing(descriptor: number, done: (error: NodeJS.ErrnoException | null) => void): void {
  if (!fs.existsSync(marker)) return real(descriptor, done);
  setImmediate(() => done(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })));
}

Object.assign(fs, { fdatasync: failing });
