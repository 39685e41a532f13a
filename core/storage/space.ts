/**
 * Room on the disk: how much there is, and the ballast (the file `reserve`, really written) that is given back stepwise
 * when a write meets a full disk, so that releases, expiries and votes still get written while others fill it.
 *
 * Invariants: the ballast never grows beyond its size and is never refilled while a write waits; it is refilled only from
 * room of which as much again stays free; without ballast a write waits until there is room, and nothing is lost meanwhile.
 */

import { assert } from '../base/assert.ts';
import {
  FILE_CHUNK_BYTES,
  RESERVE_BYTES_MAX,
  RESERVE_BYTES_MIN,
  RESERVE_FRACTION,
  RESERVE_STEP_BYTES,
  SPACE_CHECK_MS,
} from '../base/limits.ts';
import type { Clock, Entropy, Logger, Timer } from '../base/ports.ts';
import { type FileSystem, isNoSpace } from './file-system.ts';
import type { SpaceState } from './interface.ts';

const BALLAST_NAME = 'reserve';

/** The storage is being closed while something waited for room. */
export class ClosingError extends Error {
  override readonly name = 'ClosingError';
}

export class Space {
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #logger: Logger;
  #ballastWanted = 0;
  #ballast = 0;
  #freeBytes = 0;
  #checkedAt = 0;
  #waiting = 0;
  #closed = false;
  #refilling = false;
  #timer: Timer | null = null;
  #wakeUps = new Set<() => void>();
  /** Shrinking, refilling and asking take turns. */
  #turn: Promise<unknown> = Promise.resolve();
  #turns = 0;
  #reported: SpaceState = 'ok';
  /** When a write last had to wait. */
  #waitedAt = Number.NEGATIVE_INFINITY;
  #onError: (error: unknown) => void = () => {};

  constructor(options: {
    readonly fileSystem: FileSystem;
    readonly clock: Clock;
    readonly entropy: Entropy;
    readonly logger: Logger;
  }) {
    this.#fileSystem = options.fileSystem;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#logger = options.logger;
  }

  /** Finds the ballast; in a fresh directory makes it, as far as there is room. */
  async open(options: { readonly reserveBytes: number | null; readonly fresh: boolean }): Promise<void> {
    const { freeBytes, totalBytes } = await this.#fileSystem.space('.');
    const fitting = Math.min(RESERVE_BYTES_MAX, Math.floor(totalBytes * RESERVE_FRACTION));
    this.#ballastWanted = options.reserveBytes ?? Math.max(RESERVE_BYTES_MIN, fitting);
    this.#freeBytes = freeBytes;
    this.#checkedAt = this.#clock.now();
    this.#ballast = (await this.#fileSystem.status(BALLAST_NAME))?.size ?? 0;
    if (this.#ballast > this.#ballastWanted) await this.#resize(this.#ballastWanted);
    if (options.fresh) await this.#inTurn(() => this.#refill());
    else this.refresh();
    this.#report();
  }

  /** Where background failures go: the storage's fatal handler. */
  onError(listener: (error: unknown) => void): void {
    this.#onError = listener;
  }

  get state(): SpaceState {
    this.refresh();
    return this.#present();
  }

  get freeBytes(): number {
    this.refresh();
    return this.#freeBytes;
  }

  #present(): SpaceState {
    if (this.#waiting > 0) return 'full';
    return this.#ballast < this.#ballastWanted || this.#freeBytes < this.#ballastWanted ? 'low' : 'ok';
  }

  /** Asks the file system again if the last answer is old; writes nothing unless the ballast can be refilled. */
  refresh(): void {
    if (this.#closed || this.#turns > 0 || this.#clock.now() - this.#checkedAt < SPACE_CHECK_MS) return;
    this.#inTurn(async () => {
      await this.#check();
      if (this.#waiting === 0) await this.#refill();
      this.#report();
    }).catch((error) => this.#onError(error));
  }

  async #check(): Promise<void> {
    this.#checkedAt = this.#clock.now();
    this.#freeBytes = (await this.#fileSystem.space('.')).freeBytes;
  }

  /** Says so when the state changed, and keeps looking while it is not 'ok'. */
  #report(): void {
    const present = this.#present();
    // A write that waited has yet to find room: while it is only trying again, nothing has changed.
    const isTrying = this.#reported === 'full' && this.#clock.now() - this.#waitedAt < SPACE_CHECK_MS;
    const state = isTrying ? 'full' : present;
    if (state !== this.#reported) {
      this.#reported = state;
      const level = state === 'ok' ? 'info' : 'warn';
      this.#logger.log(level, `disk space is ${state}`, {
        freeBytes: this.#freeBytes,
        reserve: this.#ballast,
      });
    }
    if (state === 'ok' || this.#closed || this.#timer !== null) return;
    this.#timer = this.#clock.after(SPACE_CHECK_MS, () => {
      this.#timer = null;
      this.refresh();
      this.#report();
    });
  }

  /**
   * Gives back ballast for a write of `bytes` that met a full disk. True: try again; false: there is none left.
   */
  makeRoom(bytes: number): Promise<boolean> {
    assert(bytes >= 0, `room for ${bytes} bytes`);
    return this.#inTurn(async () => {
      if (this.#ballast === 0) return false;
      const steps = Math.max(1, Math.ceil(bytes / RESERVE_STEP_BYTES));
      await this.#resize(Math.max(0, this.#ballast - steps * RESERVE_STEP_BYTES));
      await this.#check();
      this.#report();
      return true;
    });
  }

  /** Waits until there seems to be room for `bytes`. Throws a ClosingError if the storage is closed meanwhile. */
  async waitForRoom(bytes: number): Promise<void> {
    this.#waiting += 1;
    this.#report();
    try {
      do {
        if (this.#closed) throw new ClosingError('the storage is being closed');
        await this.#pause();
        if (this.#closed) throw new ClosingError('the storage is being closed');
        await this.#inTurn(() => this.#check());
      } while (this.#freeBytes < bytes);
    } finally {
      this.#waiting -= 1;
      this.#waitedAt = this.#clock.now();
      this.#report();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#wakeUps.delete(wake);
        resolve();
      };
      const timer = this.#clock.after(SPACE_CHECK_MS, wake);
      this.#wakeUps.add(wake);
    });
  }

  async #resize(size: number): Promise<void> {
    const file = await this.#fileSystem.open(BALLAST_NAME, 'write');
    try {
      await file.truncate(size);
      this.#ballast = size;
      // Journalling file systems hand freed blocks out again only after a commit.
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #refill(): Promise<void> {
    const missing = this.#ballastWanted - this.#ballast;
    if (missing <= 0 || this.#freeBytes < 2 * missing || this.#refilling) return;
    this.#refilling = true;
    let size = this.#ballast;
    try {
      const present = await this.#fileSystem.status(BALLAST_NAME);
      const file = await this.#fileSystem.open(BALLAST_NAME, present === null ? 'replace' : 'write');
      try {
        while (size < this.#ballastWanted && !this.#closed && this.#waiting === 0) {
          // Random, so that no file system stores it in less room than it stands for.
          const chunk = this.#entropy.bytes(Math.min(FILE_CHUNK_BYTES, this.#ballastWanted - size));
          await file.write(chunk, size);
          size += chunk.length;
        }
        await file.sync();
        this.#ballast = size;
      } catch (error) {
        if (!isNoSpace(error)) throw error;
        await file.truncate(this.#ballast);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!isNoSpace(error)) throw error;
    } finally {
      this.#refilling = false;
    }
    await this.#check();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#turns += 1;
    const result = this.#turn.then(work).finally(() => {
      this.#turns -= 1;
    });
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Ends waiting; whoever waited gets a ClosingError. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = null;
    for (const wake of [...this.#wakeUps]) wake();
    await this.#turn;
  }
}
