/**
 * Open files, at most OPEN_FILES_MAX of them: the least recently used one that nobody uses is closed for the next.
 *
 * Invariants: a file in use is never closed; while more are in use at once than the limit, the number is theirs and
 * shrinks again as they are given back.
 */

import { OPEN_FILES_MAX } from '../base/limits.ts';
import type { FileSystem, OpenFile } from './file-system.ts';

interface Handle {
  readonly file: Promise<OpenFile>;
  users: number;
}

export class HandleCache {
  readonly #fileSystem: FileSystem;
  readonly #countMax: number;
  /** In the order of their last use. */
  readonly #handles = new Map<string, Handle>();
  #closing = new Set<Promise<void>>();
  #onError: (error: unknown) => void;

  constructor(
    fileSystem: FileSystem,
    options: { readonly onError: (error: unknown) => void; readonly countMax?: number },
  ) {
    this.#fileSystem = fileSystem;
    this.#countMax = options.countMax ?? OPEN_FILES_MAX;
    this.#onError = options.onError;
  }

  /** Runs `work` with the open file; it stays open until `work` is done. */
  async use<T>(path: string, work: (file: OpenFile) => Promise<T>): Promise<T> {
    const handle = this.#handles.get(path) ?? { file: this.#fileSystem.open(path, 'write'), users: 0 };
    this.#handles.delete(path);
    this.#handles.set(path, handle);
    handle.users += 1;
    try {
      let file: OpenFile;
      try {
        file = await handle.file;
      } catch (error) {
        if (this.#handles.get(path) === handle) this.#handles.delete(path);
        throw error;
      }
      this.#evict();
      return await work(file);
    } finally {
      handle.users -= 1;
      this.#evict();
    }
  }

  #evict(): void {
    let excess = this.#handles.size - this.#countMax;
    for (const [path, handle] of this.#handles) {
      if (excess <= 0) return;
      if (handle.users > 0) continue;
      this.#drop(path, handle);
      excess -= 1;
    }
  }

  #drop(path: string, handle: Handle): void {
    this.#handles.delete(path);
    const closing = handle.file
      .then((file) => file.close())
      .catch((error) => this.#onError(error))
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** The file is about to be removed; nobody uses it. */
  forget(path: string): void {
    const handle = this.#handles.get(path);
    if (handle !== undefined) this.#drop(path, handle);
  }

  /** Nobody uses anything any more. */
  async close(): Promise<void> {
    for (const [path, handle] of this.#handles) this.#drop(path, handle);
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }
}
