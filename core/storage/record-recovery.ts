/**
 * The logs' files at start: compared with the manifest, then cut back to it. Nothing is changed before all of the
 * directory was found sound; the states that a crash leaves are in record-file.ts.
 */

import { FILE_CHUNK_BYTES, SCRUB_PAUSE_MS, VERIFY_AT_OPEN_BYTES } from '../base/limits.ts';
import type { Clock, Logger, Timer } from '../base/ports.ts';
import type { LogInfo } from '../state-machine/commands.ts';
import type { FileSystem } from './file-system.ts';
import type { HandleCache } from './handle-cache.ts';
import { DamageError } from './interface.ts';
import {
  dataPath,
  indexOffset,
  indexPath,
  openRecordFile,
  type RecordFile,
  readIndex,
  readRecordRange,
  STORE_DIRECTORY,
} from './record-file.ts';
import { reconcileNames } from './record-names.ts';

export interface RecoveredRecords {
  readonly logs: readonly { readonly info: LogInfo; readonly file: RecordFile }[];
  /** What was too much to compare at once. */
  readonly unverified: readonly { readonly file: RecordFile; readonly from: number; readonly to: number }[];
}

/** Compares all files that the manifest names with it and with their index. Changes nothing. */
export async function verifyRecords(
  handles: HandleCache,
  manifest: {
    readonly logs: readonly LogInfo[];
    readonly generations: ReadonlyMap<number, number>;
    readonly verifyBytesMax?: number;
  },
): Promise<RecoveredRecords> {
  const verifyBytesMax = manifest.verifyBytesMax ?? VERIFY_AT_OPEN_BYTES;
  const logs: { info: LogInfo; file: RecordFile }[] = [];
  let total = 0;
  for (const info of manifest.logs) {
    const file = await openRecordFile(handles, {
      id: info.id,
      generation: manifest.generations.get(info.id) ?? 0,
    });
    await checkEnd(handles, file, info);
    total += info.bytes - file.byteBase;
    logs.push({ info, file });
  }
  const unverified: { file: RecordFile; from: number; to: number }[] = [];
  for (const { info, file } of logs) {
    let from = file.base;
    if (total > verifyBytesMax) {
      from = await tailStart(handles, file, { count: info.count, bytes: info.bytes });
      if (from > file.base) unverified.push({ file, from: file.base, to: from });
    }
    await compare(handles, file, { from, to: info.count });
  }
  return { logs, unverified };
}

async function compare(
  handles: HandleCache,
  file: RecordFile,
  range: { readonly from: number; readonly to: number },
): Promise<void> {
  let from = range.from;
  while (from < range.to) {
    from += (await readRecordRange(handles, file, { from, to: range.to, bytesMax: FILE_CHUNK_BYTES })).length;
  }
}

/** The manifest's last record, end and chain value must be the index's. */
async function checkEnd(handles: HandleCache, file: RecordFile, info: LogInfo): Promise<void> {
  const path = indexPath(file);
  if (file.base > info.start || info.count < file.base) {
    throw new DamageError(`it begins with record ${file.base}, the manifest with ${info.start}`, path, 0);
  }
  const end = await readIndex(handles, file, { from: info.count, to: info.count });
  if (end.ends[0] !== info.bytes || end.chains[0] !== info.chain) {
    throw new DamageError(
      `its ${info.count} records end at byte ${end.ends[0]} with chain value ${end.chains[0]}, in the manifest at byte ${info.bytes} with ${info.chain}`,
      path,
      indexOffset(file, Math.max(file.base, info.count - 1)),
    );
  }
  // An empty data file has no record that would be missed.
  const probe = new Uint8Array(1);
  await handles
    .use(dataPath(file), (handle) => handle.read(probe, 0))
    .catch((error) => {
      throw new DamageError(`it cannot be read: ${(error as Error).message}`, dataPath(file), 0);
    });
}

/** The first of the records that make up the last FILE_CHUNK_BYTES: a binary search over the ends. */
async function tailStart(
  handles: HandleCache,
  file: RecordFile,
  end: { readonly count: number; readonly bytes: number },
): Promise<number> {
  const target = end.bytes - FILE_CHUNK_BYTES;
  if (target <= file.byteBase) return file.base;
  let low = file.base;
  let high = end.count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const { ends } = await readIndex(handles, file, { from: middle, to: middle });
    if ((ends[0] as number) < target) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Cuts the files back to the manifest, removes what it does not name, and puts the names in files/ right. */
export async function resetRecords(
  fileSystem: FileSystem,
  recovered: RecoveredRecords,
  options: { readonly handles: HandleCache; readonly logger: Logger },
): Promise<void> {
  const { handles, logger } = options;
  const needed = new Set<string>();
  const wanted = new Map<string, string>();
  for (const { info, file } of recovered.logs) {
    needed.add(dataPath(file)).add(indexPath(file));
    wanted.set(info.name, dataPath(file));
    await cut(fileSystem, handles, { path: dataPath(file), size: info.bytes - file.byteBase });
    await cut(fileSystem, handles, { path: indexPath(file), size: indexOffset(file, info.count) });
  }
  const ours = new Set<string>();
  for (const name of await fileSystem.list(STORE_DIRECTORY)) {
    const status = await fileSystem.status(`${STORE_DIRECTORY}/${name}`);
    if (status !== null) ours.add(status.identity);
  }
  // The names first: without the file in the store they would pass for somebody else's.
  await reconcileNames(fileSystem, { wanted, ours, logger });
  for (const name of await fileSystem.list(STORE_DIRECTORY)) {
    const path = `${STORE_DIRECTORY}/${name}`;
    if (!needed.has(path)) await fileSystem.remove(path);
  }
}

async function cut(
  fileSystem: FileSystem,
  handles: HandleCache,
  end: { readonly path: string; readonly size: number },
): Promise<void> {
  const status = await fileSystem.status(end.path);
  if (status === null || status.size <= end.size) return;
  await handles.use(end.path, (file) => file.truncate(end.size));
}

/** Compares slowly, in the background, what was not compared at start; says what is damaged. Reads refuse it anyway. */
export class Scrub {
  readonly #handles: HandleCache;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #ranges: { readonly file: RecordFile; readonly from: number; readonly to: number }[];
  #timer: Timer | null = null;
  #closed = false;
  #step: Promise<void> = Promise.resolve();

  constructor(
    ranges: RecoveredRecords['unverified'],
    options: { readonly handles: HandleCache; readonly clock: Clock; readonly logger: Logger },
  ) {
    this.#ranges = [...ranges];
    this.#handles = options.handles;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#next();
  }

  #next(): void {
    if (this.#closed || this.#ranges.length === 0) return;
    this.#timer = this.#clock.after(SCRUB_PAUSE_MS, () => {
      this.#timer = null;
      this.#step = this.#compareSome().then(() => this.#next());
    });
  }

  async #compareSome(): Promise<void> {
    const range = this.#ranges.shift();
    if (range === undefined) return;
    const { file, from, to } = range;
    file.readers += 1;
    try {
      const { length } = await readRecordRange(this.#handles, file, {
        ...{ from, to, bytesMax: FILE_CHUNK_BYTES },
      });
      if (from + length < to) this.#ranges.unshift({ file, from: from + length, to });
    } catch (error) {
      // A file that is gone was trimmed or deleted; anything else is worth a line.
      const problem = (error as Error).message;
      this.#logger.log('error', 'a record file does not match its index; reads of it are refused', {
        problem,
      });
    } finally {
      file.readers -= 1;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#step;
  }
}
