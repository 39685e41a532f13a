// A file system in memory that knows what a power cut would leave: of every file what it was at its last sync, of every
// directory which names it had at its own. It runs full, fails, stalls, and stops dead at any call that changes something.
// Its faultless behaviour stands the same suite as the real one (test/storage/file-system.test.ts).

import type { FileStatus, FileSystem, OpenFile, OpenMode } from '#core/storage/file-system.ts';

const BLOCK_BYTES = 4_096;

interface Node {
  readonly number: number;
  type: 'file' | 'directory' | 'other';
  bytes: Buffer;
  /** What is on the disk for certain. */
  durable: Buffer;
  target: string;
}

export interface Call {
  readonly operation: 'open' | 'write' | 'sync' | 'truncate' | 'link' | 'rename' | 'remove' | 'syncDirectory';
  readonly path: string;
  readonly bytes: number;
}

/** What a power cut leaves of what was not synced: nothing, or all of it. Real disks do either, and anything between. */
export interface Remains {
  readonly names: 'synced' | 'all';
  readonly data: 'synced' | 'all' | 'torn';
}

export const EVERY_REMAINS: readonly Remains[] = [
  { names: 'all', data: 'all' },
  { names: 'all', data: 'synced' },
  { names: 'all', data: 'torn' },
  { names: 'synced', data: 'synced' },
  { names: 'synced', data: 'all' },
];

export function fileError(code: string, operation: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${operation} ${path}`), { code });
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}

export class FaultyFileSystem implements FileSystem {
  readonly processId = 4_242;
  /** Bytes that fit, in whole blocks. */
  capacityBytes = Infinity;
  /** Calls that change something, so far. */
  calls = 0;
  /** At this call everything stops: it is done by half or not at all, and no call ever comes back again. */
  crashAt = Infinity;
  /** Called before everything that changes something; throws or waits to make it fail or stall. */
  intercept: (call: Call) => void | Promise<void> = () => {};
  writtenBytes = 0;
  openFiles = 0;
  openFilesMax = 0;
  readonly crashed: Promise<void>;
  #boot: number;
  #isCrashed = false;
  #crash: () => void = () => {};
  #numbers = 0;
  #names = new Map<string, Node>();
  #durableNames = new Map<string, Node>();

  constructor(boot = 1) {
    this.#boot = boot;
    this.crashed = new Promise((resolve) => {
      this.#crash = resolve;
    });
    this.#names.set('/', this.#node('directory'));
  }

  #node(type: Node['type'], target = ''): Node {
    this.#numbers += 1;
    return { number: this.#numbers, type, bytes: Buffer.alloc(0), durable: Buffer.alloc(0), target };
  }

  /** The disk as the next boot finds it. */
  powerCut(remains: Remains): FaultyFileSystem {
    const after = new FaultyFileSystem(this.#boot + 1);
    const names = remains.names === 'all' ? this.#names : this.#durableNames;
    const copies = new Map<Node, Node>();
    for (const [path, node] of names) {
      const copy = copies.get(node) ?? {
        ...node,
        bytes: leave(node, remains.data),
        durable: Buffer.alloc(0),
      };
      copy.durable = copy.bytes;
      copies.set(node, copy);
      after.#names.set(path, copy);
    }
    // Directories are durable when they are made; see makeDirectory.
    for (const [path, node] of this.#names) if (node.type === 'directory') after.#names.set(path, node);
    after.#durableNames = new Map(after.#names);
    after.#numbers = this.#numbers;
    return after;
  }

  /** The same disk for another process, the one before having ended. */
  reboot(): FaultyFileSystem {
    return this.powerCut({ names: 'all', data: 'all' });
  }

  /** A copy of everything, to be damaged and compared. */
  contents(): Map<string, Buffer> {
    const all = new Map<string, Buffer>();
    for (const [path, node] of this.#names) if (node.type === 'file') all.set(path, Buffer.from(node.bytes));
    return all;
  }

  put(path: string, bytes: Uint8Array): void {
    const node = this.#names.get(path) ?? this.#node('file');
    node.bytes = Buffer.from(bytes);
    node.durable = node.bytes;
    this.#names.set(path, node);
    this.#durableNames.set(path, node);
  }

  get(path: string): Buffer {
    return this.#need(path, 'get').bytes;
  }

  drop(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  #need(path: string, operation: string): Node {
    const node = this.#names.get(path);
    if (node === undefined) throw fileError('ENOENT', operation, path);
    return node;
  }

  /** Runs `work`, unless this is the call at which everything stops. */
  async #change<T>(call: Call, work: () => T, half: () => void = () => {}): Promise<T> {
    await this.#alive();
    await this.intercept(call);
    await this.#alive();
    this.calls += 1;
    if (this.calls >= this.crashAt) {
      half();
      this.#isCrashed = true;
      this.#crash();
    }
    await this.#alive();
    return work();
  }

  /** A dead process does nothing more. */
  #alive(): Promise<void> {
    return this.#isCrashed ? new Promise(() => {}) : Promise.resolve();
  }

  #usedBytes(): number {
    let used = 0;
    for (const node of new Set(this.#names.values())) {
      used += Math.ceil(node.bytes.length / BLOCK_BYTES) * BLOCK_BYTES;
    }
    return used;
  }

  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    await this.#alive();
    const make = () => {
      if (this.#names.get(parentOf(path))?.type !== 'directory') throw fileError('ENOENT', 'open', path);
      const present = this.#names.get(path);
      if (present !== undefined && mode === 'create') throw fileError('EEXIST', 'open', path);
      const node = present ?? this.#node('file');
      node.bytes = Buffer.alloc(0);
      this.#names.set(path, node);
      return node;
    };
    const isMade = mode === 'create' || mode === 'replace';
    const node = isMade
      ? await this.#change({ operation: 'open', path, bytes: 0 }, make)
      : this.#need(path, 'open');
    this.openFiles += 1;
    this.openFilesMax = Math.max(this.openFilesMax, this.openFiles);
    return this.#file(path, node);
  }

  #file(path: string, node: Node): OpenFile {
    return {
      read: async (target, position) => {
        await this.#alive();
        return node.bytes.copy(target, 0, Math.min(position, node.bytes.length));
      },
      write: (bytes, position) => {
        const copy = Buffer.from(bytes);
        return this.#change(
          { operation: 'write', path, bytes: bytes.length },
          () => this.#write(path, node, { bytes: copy, position }),
          () => this.#write(path, node, { bytes: copy.subarray(0, copy.length >> 1), position }),
        );
      },
      sync: () =>
        this.#change({ operation: 'sync', path, bytes: 0 }, () => {
          node.durable = Buffer.from(node.bytes);
        }),
      truncate: (size) =>
        this.#change({ operation: 'truncate', path, bytes: 0 }, () => {
          const next = Buffer.alloc(size);
          node.bytes.copy(next);
          node.bytes = next;
        }),
      close: async () => {
        await this.#alive();
        this.openFiles -= 1;
      },
    };
  }

  #write(path: string, node: Node, write: { bytes: Buffer; position: number }): void {
    const { bytes, position } = write;
    const own = Math.ceil(node.bytes.length / BLOCK_BYTES) * BLOCK_BYTES;
    const room = this.capacityBytes - this.#usedBytes() + own;
    const count = Math.max(0, Math.min(bytes.length, room - position));
    const next = Buffer.alloc(Math.max(node.bytes.length, count > 0 ? position + count : 0));
    node.bytes.copy(next);
    bytes.copy(next, position, 0, count);
    node.bytes = next;
    this.writtenBytes += count;
    if (count < bytes.length) throw fileError('ENOSPC', 'write', path);
  }

  async list(path: string): Promise<string[]> {
    await this.#alive();
    this.#need(path, 'list');
    const names: string[] = [];
    for (const name of this.#names.keys()) {
      if (name !== '/' && parentOf(name) === path)
        names.push(name.slice(path.length + (path === '/' ? 0 : 1)));
    }
    return names.sort();
  }

  async status(path: string): Promise<FileStatus | null> {
    await this.#alive();
    const node = this.#names.get(path);
    if (node === undefined) return null;
    return { size: node.bytes.length, identity: String(node.number), type: node.type };
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#alive();
    for (let at = path; !this.#names.has(at); at = parentOf(at)) {
      this.#names.set(at, this.#node('directory'));
    }
  }

  syncDirectory(path: string): Promise<void> {
    return this.#change({ operation: 'syncDirectory', path, bytes: 0 }, () => {
      for (const name of this.#durableNames.keys()) {
        if (parentOf(name) === path) this.#durableNames.delete(name);
      }
      for (const [name, node] of this.#names) if (parentOf(name) === path) this.#durableNames.set(name, node);
    });
  }

  #make(path: string, operation: string, node: () => Node): void {
    if (this.#names.has(path)) throw fileError('EEXIST', operation, path);
    this.#names.set(path, node());
  }

  link(from: string, to: string): Promise<void> {
    return this.#change({ operation: 'link', path: to, bytes: 0 }, () =>
      this.#make(to, 'link', () => this.#need(from, 'link')),
    );
  }

  symbolicLink(target: string, path: string): Promise<void> {
    return this.#change({ operation: 'link', path, bytes: 0 }, () =>
      this.#make(path, 'symlink', () => this.#node('other', target)),
    );
  }

  async readLink(path: string): Promise<string> {
    await this.#alive();
    const node = this.#need(path, 'readlink');
    if (node.type !== 'other') throw fileError('EINVAL', 'readlink', path);
    return node.target;
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change({ operation: 'rename', path: to, bytes: 0 }, () => {
      const node = this.#need(from, 'rename');
      // POSIX: nothing happens if both are names of one file.
      if (this.#names.get(to) === node) return;
      this.#names.delete(from);
      this.#names.set(to, node);
    });
  }

  remove(path: string): Promise<void> {
    return this.#change({ operation: 'remove', path, bytes: 0 }, () => {
      this.#need(path, 'remove');
      this.#names.delete(path);
    });
  }

  async space(): Promise<{ freeBytes: number; totalBytes: number }> {
    await this.#alive();
    const totalBytes = Math.min(this.capacityBytes, 2 ** 40);
    return { freeBytes: Math.max(0, totalBytes - this.#usedBytes()), totalBytes };
  }

  async processStart(processId: number): Promise<string | null> {
    await this.#alive();
    return processId === this.processId ? `boot ${this.#boot}` : null;
  }
}

/** Torn: every other block of what was not synced is there, the blocks between are zero. */
function leave(node: Node, data: Remains['data']): Buffer {
  if (data === 'all') return Buffer.from(node.bytes);
  if (data === 'synced') return Buffer.from(node.durable);
  const torn = Buffer.from(node.bytes);
  for (let at = 0; at < torn.length; at += 64) {
    if ((at / 64) % 2 === 1) continue;
    const end = Math.min(at + 64, torn.length);
    torn.fill(0, at, end);
    node.durable.copy(torn, at, Math.min(at, node.durable.length), Math.min(end, node.durable.length));
  }
  return torn;
}
