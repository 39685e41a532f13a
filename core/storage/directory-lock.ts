/**
 * One server a directory. The symbolic link `lock` names the process that has it open: its number, and what tells it from
 * a later process of that number (its start time and the machine's boot), so that the lock of a process that was killed,
 * or of a machine that lost power, is taken over at once and that of a living one never.
 *
 * A symbolic link, because it appears whole or not at all and takes no block: on a disk without a free byte a server must
 * still start. Processes in different process-number namespaces that share one directory do not see each other; that is
 * what one directory a server is for.
 */

import type { Logger } from '../base/ports.ts';
import { errorCode, type FileSystem, isMissing } from './file-system.ts';

const LOCK_NAME = 'lock';
/** Each try ends with the lock, a living owner, or one more dead owner out of the way. */
const TRIES_MAX = 8;

export class DirectoryInUseError extends Error {
  override readonly name = 'DirectoryInUseError';
  readonly processId: number;
  constructor(directory: string, processId: number) {
    super(
      `Cannot open ${directory}: process ${processId} has it open. Stop that server first, or give this one a directory of its own with --data.`,
    );
    this.processId = processId;
  }
}

interface Owner {
  readonly processId: number;
  readonly start: string;
}

/** Null for anything that is not a lock: nobody's. */
async function readOwner(fileSystem: FileSystem, name: string): Promise<Owner | null> {
  let text: string;
  try {
    text = await fileSystem.readLink(name);
  } catch (error) {
    // EINVAL: a file of another kind.
    if (isMissing(error) || errorCode(error) === 'EINVAL') return null;
    throw error;
  }
  const match = /^([1-9][0-9]{0,9}) (.*)$/.exec(text);
  return match === null ? null : { processId: Number(match[1]), start: match[2] ?? '' };
}

async function isLiving(fileSystem: FileSystem, owner: Owner | null): Promise<boolean> {
  return owner !== null && (await fileSystem.processStart(owner.processId)) === owner.start;
}

export interface DirectoryLock {
  release(): Promise<void>;
}

/** Takes the directory for this process, or throws a DirectoryInUseError. `directory` is for the message only. */
export async function lockDirectory(options: {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly logger: Logger;
}): Promise<DirectoryLock> {
  const { fileSystem, directory, logger } = options;
  const processId = fileSystem.processId;
  const start = (await fileSystem.processStart(processId)) ?? '';
  const aside = `${LOCK_NAME}-${processId}`;
  for (let count = 0; count < TRIES_MAX; count++) {
    try {
      await fileSystem.symbolicLink(`${processId} ${start}`, LOCK_NAME);
      return { release: () => fileSystem.remove(LOCK_NAME).catch(() => {}) };
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    const owner = await readOwner(fileSystem, LOCK_NAME);
    if (owner !== null && (await isLiving(fileSystem, owner))) {
      throw new DirectoryInUseError(directory, owner.processId);
    }
    // Moved aside and looked at again, because another process may have taken the dead one's place in between.
    try {
      await fileSystem.rename(LOCK_NAME, aside);
    } catch (error) {
      if (isMissing(error)) continue;
      throw error;
    }
    const moved = await readOwner(fileSystem, aside);
    if (moved !== null && (await isLiving(fileSystem, moved))) {
      await fileSystem.symbolicLink(`${moved.processId} ${moved.start}`, LOCK_NAME).catch(() => {});
      await fileSystem.remove(aside);
      throw new DirectoryInUseError(directory, moved.processId);
    }
    await fileSystem.remove(aside);
    logger.log('info', 'took over the directory of a server that is gone', {
      processId: moved?.processId ?? 0,
    });
  }
  throw new Error(`Cannot open ${directory}: its lock changed hands ${TRIES_MAX} times. Try again.`);
}
