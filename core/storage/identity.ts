/**
 * The storage id of a directory, in the file `identity`:
 *
 *   "bramble storage 1 <32 hexadecimal digits> <their CRC-32C>\n"
 *
 * It is written last of all that a fresh directory gets, under a temporary name that is synced and renamed. So a directory
 * without it is either new or was never finished (at most an empty first segment and temporary files), and is made anew;
 * one that has more has lost its identity, and that is damage.
 */

import { hex, utf8, utf8Text } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import type { Entropy } from '../base/ports.ts';
import { type FileSystem, readWhole, TEMPORARY_SUFFIX, writeAtomically } from './file-system.ts';
import { DamageError } from './interface.ts';
import { STORE_DIRECTORY } from './record-file.ts';
import { SNAPSHOT_DIRECTORY } from './snapshot-file.ts';
import { decodeSegmentHeader, segmentName, WAL_DIRECTORY } from './wal-format.ts';
import { createSegment } from './wal-segments.ts';

const IDENTITY_NAME = 'identity';

function encodeIdentity(storageId: string): Uint8Array {
  return utf8(`bramble storage 1 ${storageId} ${crc32c(utf8(storageId)).toString(16).padStart(8, '0')}\n`);
}

function decodeIdentity(bytes: Uint8Array): string {
  const match = /^bramble storage 1 ([0-9a-f]{32}) ([0-9a-f]{8})\n$/.exec(utf8Text(bytes) ?? '');
  const storageId = match?.[1] ?? '';
  if (match === null || crc32c(utf8(storageId)) !== Number.parseInt(match[2] ?? '', 16)) {
    throw new DamageError('it does not hold a storage id with its checksum', IDENTITY_NAME, 0);
  }
  return storageId;
}

/** Throws unless what stands in a directory without identity is at most what an unfinished first start leaves. */
async function assertUnfinished(fileSystem: FileSystem): Promise<void> {
  const problem = 'it is missing, but the directory holds a log';
  for (const name of await fileSystem.list(WAL_DIRECTORY)) {
    if (name.endsWith(TEMPORARY_SUFFIX)) continue;
    const bytes = await readWhole(fileSystem, `${WAL_DIRECTORY}/${name}`);
    const head = decodeSegmentHeader(bytes);
    if (name !== segmentName(1) || !head.ok || head.size !== bytes.length) {
      throw new DamageError(problem, IDENTITY_NAME, 0);
    }
  }
  for (const directory of [SNAPSHOT_DIRECTORY, STORE_DIRECTORY]) {
    if ((await fileSystem.list(directory)).length > 0) throw new DamageError(problem, IDENTITY_NAME, 0);
  }
}

async function create(fileSystem: FileSystem, entropy: Entropy): Promise<string> {
  await assertUnfinished(fileSystem);
  for (const name of await fileSystem.list(WAL_DIRECTORY))
    await fileSystem.remove(`${WAL_DIRECTORY}/${name}`);
  const storageId = hex(entropy.bytes(16));
  await createSegment(fileSystem, entropy, {
    ...{ storageId, number: 1, lastIndex: 0, lastTerm: 0, previousSize: 0 },
    hardState: { term: 0, votedFor: null, commitIndex: 0 },
  });
  const place = { directory: '.', name: IDENTITY_NAME };
  await writeAtomically(fileSystem, place, (file) => file.write(encodeIdentity(storageId), 0));
  return storageId;
}

/** The directory's storage id; in a fresh directory makes it, and the log's first segment. */
export async function openIdentity(
  fileSystem: FileSystem,
  entropy: Entropy,
): Promise<{ readonly storageId: string; readonly fresh: boolean }> {
  if ((await fileSystem.status(IDENTITY_NAME)) === null) {
    return { storageId: await create(fileSystem, entropy), fresh: true };
  }
  return { storageId: decodeIdentity(await readWhole(fileSystem, IDENTITY_NAME)), fresh: false };
}
