/**
 * The one place where storage touches `node:fs`: a narrow port, and the real thing behind it. Tests put a file system in
 * its place that runs full, fails, stalls or loses power.
 *
 * Invariants: every call is asynchronous (the thread pool does the work, never the loop); `write` writes everything or
 * rejects, and a rejected write may have left any part of it behind; nothing is durable before `sync` (for a file) or
 * `syncDirectory` (for a name) came back.
 */

import fs from 'node:fs';
import { dirname, resolve } from 'node:path';

/** 'write': it must exist · 'create': it must not exist · 'replace': emptied if it exists. All can also be read. */
export type OpenMode = 'read' | 'write' | 'create' | 'replace';

export interface OpenFile {
  /** Fills `target` from `position` on; returns how many bytes there were, fewer only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** fdatasync(2): the data, and the metadata that is needed to read them. */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

export interface FileStatus {
  readonly size: number;
  /** The same for two names exactly if they are links to one file. */
  readonly identity: string;
  readonly type: 'file' | 'directory' | 'other';
}

export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  /** Names in a directory, sorted. */
  list(path: string): Promise<string[]>;
  /** Null if there is nothing of that name. Does not follow symbolic links. */
  status(path: string): Promise<FileStatus | null>;
  /** With its parents, all of them durable when this comes back; does nothing if it is there. */
  makeDirectory(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  symbolicLink(target: string, path: string): Promise<void>;
  readLink(path: string): Promise<string>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Bytes that this process may still write, and the size of the file system. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
  readonly processId: number;
  /** What tells a process from a later one with the same number; null if no such process lives. */
  processStart(processId: number): Promise<string | null>;
}

export function errorCode(error: unknown): string | null {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : null;
  return typeof code === 'string' ? code : null;
}

/** The disk, or this user's part of it, is full: the one failure that passes by itself. */
export function isNoSpace(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

const FLAGS = { read: 'r', write: 'r+', create: 'wx+', replace: 'w+' } as const;

type Done<T> = (error: Error | null, value?: T) => void;

// On plain descriptors rather than FileHandle objects, which the garbage collector closes behind one's back.
function later<T = void>(begin: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    begin((error, value) => (error === null ? resolve(value as T) : reject(error)));
  });
}

function openDescriptor(path: string, flags: string): Promise<number> {
  return later<number>((done) => fs.open(path, flags, done));
}

class RealFile implements OpenFile {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < target.length) {
      const at = done;
      const bytesRead = await later<number>((end) =>
        fs.read(this.#descriptor, target, at, target.length - at, position + at, end),
      );
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const at = done;
      const bytesWritten = await later<number>((end) =>
        fs.write(this.#descriptor, bytes, at, bytes.length - at, position + at, end),
      );
      done += bytesWritten;
    }
  }

  sync(): Promise<void> {
    return later((done) => fs.fdatasync(this.#descriptor, done));
  }

  truncate(size: number): Promise<void> {
    return later((done) => fs.ftruncate(this.#descriptor, size, done));
  }

  close(): Promise<void> {
    return later((done) => fs.close(this.#descriptor, done));
  }
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)), after the name, which may hold spaces and brackets; with the boot. */
async function linuxProcessStart(processId: number): Promise<string | null> {
  let stat: string;
  try {
    stat = await fs.promises.readFile(`/proc/${processId}/stat`, 'latin1');
  } catch {
    return null;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A zombie has closed its files.
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  const boot = await fs.promises.readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => '');
  return `${fields[19] ?? ''}@${boot.trim().replaceAll('-', '')}`;
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

async function syncDirectory(path: string): Promise<void> {
  const descriptor = await openDescriptor(path, 'r');
  try {
    await later((done) => fs.fsync(descriptor, done));
  } finally {
    await later((done) => fs.close(descriptor, done));
  }
}

export const realFileSystem: FileSystem = {
  async open(path, mode) {
    return new RealFile(await openDescriptor(path, FLAGS[mode]));
  },
  async list(path) {
    return (await fs.promises.readdir(path)).sort();
  },
  async status(path) {
    try {
      const status = await fs.promises.lstat(path, { bigint: true });
      return {
        size: Number(status.size),
        identity: `${status.dev}:${status.ino}`,
        type: status.isFile() ? 'file' : status.isDirectory() ? 'directory' : 'other',
      };
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  },
  async makeDirectory(path) {
    const first = await fs.promises.mkdir(path, { recursive: true });
    if (first === undefined) return;
    // `first` is the topmost one that was made: a name is durable once its parent is synced.
    for (let made = resolve(path); made.length >= first.length; made = dirname(made)) {
      await syncDirectory(dirname(made));
    }
  },
  syncDirectory,
  link: (from, to) => fs.promises.link(from, to),
  symbolicLink: (target, path) => fs.promises.symlink(target, path),
  readLink: (path) => fs.promises.readlink(path),
  rename: (from, to) => fs.promises.rename(from, to),
  remove: (path) => fs.promises.unlink(path),
  async space(path) {
    const status = await fs.promises.statfs(path);
    return { freeBytes: status.bavail * status.bsize, totalBytes: status.blocks * status.bsize };
  },
  processId: process.pid,
  async processStart(processId) {
    if (process.platform === 'linux') return linuxProcessStart(processId);
    return isAlive(processId) ? 'alive' : null;
  },
};

/** The file system as seen from one directory: names are relative to it, and what is written is counted. */
export function rootedFileSystem(
  fileSystem: FileSystem,
  directory: string,
  written: (bytes: number) => void,
): FileSystem {
  const at = (path: string) => (path === '.' ? directory : `${directory}/${path}`);
  return {
    async open(path, mode) {
      const file = await fileSystem.open(at(path), mode);
      return {
        read: (target, position) => file.read(target, position),
        write: (bytes, position) => {
          written(bytes.length);
          return file.write(bytes, position);
        },
        sync: () => file.sync(),
        truncate: (size) => file.truncate(size),
        close: () => file.close(),
      };
    },
    list: (path) => fileSystem.list(at(path)),
    status: (path) => fileSystem.status(at(path)),
    makeDirectory: (path) => fileSystem.makeDirectory(at(path)),
    syncDirectory: (path) => fileSystem.syncDirectory(at(path)),
    link: (from, to) => fileSystem.link(at(from), at(to)),
    symbolicLink: (target, path) => fileSystem.symbolicLink(target, at(path)),
    readLink: (path) => fileSystem.readLink(at(path)),
    rename: (from, to) => fileSystem.rename(at(from), at(to)),
    remove: (path) => fileSystem.remove(at(path)),
    space: (path) => fileSystem.space(at(path)),
    processId: fileSystem.processId,
    processStart: (processId) => fileSystem.processStart(processId),
  };
}

/** All of a file's bytes. */
export async function readWhole(fileSystem: FileSystem, path: string): Promise<Uint8Array> {
  const status = await fileSystem.status(path);
  const file = await fileSystem.open(path, 'read');
  try {
    const bytes = new Uint8Array(status?.size ?? 0);
    const size = await file.read(bytes, 0);
    return bytes.subarray(0, size);
  } finally {
    await file.close();
  }
}

/**
 * Makes a file appear whole or not at all: temporary file, its sync, rename, sync of the directory. After a crash there
 * is either nothing under `path` or all of it; a temporary file may be left, which whoever lists the directory removes.
 */
export async function writeAtomically(
  fileSystem: FileSystem,
  place: { readonly directory: string; readonly name: string },
  fill: (file: OpenFile) => Promise<void>,
): Promise<void> {
  const path = place.directory === '.' ? place.name : `${place.directory}/${place.name}`;
  const temporary = `${path}${TEMPORARY_SUFFIX}`;
  const file = await fileSystem.open(temporary, 'replace');
  try {
    try {
      await fill(file);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // What is left would hold the room that somebody else waits for.
    await fileSystem.remove(temporary).catch(() => {});
    throw error;
  }
  await fileSystem.rename(temporary, path);
  await fileSystem.syncDirectory(place.directory);
}

export const TEMPORARY_SUFFIX = '.new';
