/**
 * The names in files/: hard links to the logs' data files, for people to read. What is in that folder and is not ours
 * stays, and is moved aside when a log needs its name.
 */

import type { Logger } from '../base/ports.ts';
import type { FileSystem } from './file-system.ts';
import { FILES_DIRECTORY } from './record-file.ts';

function namePath(name: string): string {
  return `${FILES_DIRECTORY}/${name}`;
}

/**
 * Makes files/`name` a link to the file at `path`. `isOurs` says whether what stands there now, by its identity, is one of
 * our own, to be replaced in one step.
 */
export async function setName(
  fileSystem: FileSystem,
  options: {
    readonly name: string;
    readonly path: string;
    readonly isOurs: (identity: string) => boolean;
    readonly logger: Logger;
  },
): Promise<void> {
  const { name, path, isOurs, logger } = options;
  const target = namePath(name);
  const [wanted, present] = [await fileSystem.status(path), await fileSystem.status(target)];
  if (wanted === null) throw new Error(`Cannot link ${target}: ${path} is gone`);
  if (present?.identity === wanted.identity) return;
  if (present !== null && !isOurs(present.identity)) await displace(fileSystem, name, logger);
  const temporary = `${path}.link`;
  if ((await fileSystem.status(temporary)) !== null) await fileSystem.remove(temporary);
  await fileSystem.link(path, temporary);
  await fileSystem.rename(temporary, target);
}

/** No log's name begins with a dot, so that nothing of ours is ever in the way of what is moved aside. */
async function displace(fileSystem: FileSystem, name: string, logger: Logger): Promise<void> {
  for (let count = 1; ; count++) {
    const aside = namePath(`.displaced-${name}-${count}`);
    if ((await fileSystem.status(aside)) !== null) continue;
    await fileSystem.rename(namePath(name), aside);
    logger.log('warn', 'moved a file aside that stood under the name of a log', { name, movedTo: aside });
    return;
  }
}

/** Removes files/`name` if it is a link to the file at `path`. */
export async function removeName(
  fileSystem: FileSystem,
  options: { readonly name: string; readonly path: string; readonly logger: Logger },
): Promise<void> {
  const present = await fileSystem.status(namePath(options.name));
  if (present === null) return;
  if (present.identity === (await fileSystem.status(options.path))?.identity) {
    await fileSystem.remove(namePath(options.name));
    return;
  }
  options.logger.log('warn', 'left a file under the name of a deleted log, since it is not the log', {
    name: options.name,
  });
}

/**
 * After a crash: makes files/ have exactly the given names of ours. `ours` are the identities of all data files in the
 * store, those too that are about to be removed.
 */
export async function reconcileNames(
  fileSystem: FileSystem,
  options: {
    readonly wanted: ReadonlyMap<string, string>;
    readonly ours: ReadonlySet<string>;
    readonly logger: Logger;
  },
): Promise<void> {
  const { wanted, ours, logger } = options;
  for (const name of await fileSystem.list(FILES_DIRECTORY)) {
    if (wanted.has(name)) continue;
    const status = await fileSystem.status(namePath(name));
    if (status === null) continue;
    if (ours.has(status.identity)) await fileSystem.remove(namePath(name));
    else if (!name.startsWith('.')) {
      logger.log('warn', 'left a file in files/ that is no log', { name });
    }
  }
  const isOurs = (identity: string) => ours.has(identity);
  for (const [name, path] of wanted) await setName(fileSystem, { name, path, isOurs, logger });
}
