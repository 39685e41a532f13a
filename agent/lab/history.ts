/**
 * The history of a run: what each client asked and was told, one JSON object a line, times in nanoseconds of one monotonic
 * clock. The same lines that the checker and outside checkers read.
 *
 * Invariants: a client number has at most one operation under way; an operation whose outcome is unknown is never completed,
 * and its client number is not used again.
 */

import { createWriteStream, type WriteStream } from 'node:fs';
import process from 'node:process';
import { BrambleError } from 'bramble';

export interface Operation {
  readonly client: number;
  readonly op: 'acquire' | 'release' | 'append' | 'read' | 'put' | 'get' | 'cas' | 'delete';
  readonly key: string;
  readonly arg: unknown;
  readonly invokeNs: string;
  readonly completeNs: string | null;
  readonly result: unknown;
  readonly code: number | null;
  readonly definite: boolean;
}

export interface Lost {
  readonly client: number;
  readonly op: 'lost';
  readonly key: string;
  readonly arg: { readonly token: number };
  readonly heldUntilNs: string;
}

export type HistoryLine = Operation | Lost;

export class History {
  readonly #stream: WriteStream;
  readonly #listener: (line: HistoryLine) => void;
  #clients = 0;
  #operations = 0;
  #unknown = 0;

  /** `listener` sees every line as it is written. */
  constructor(path: string, listener: (line: HistoryLine) => void = () => {}) {
    this.#stream = createWriteStream(path, { flags: 'a' });
    this.#listener = listener;
  }

  /** Completed operations so far, whatever their outcome. */
  get operations(): number {
    return this.#operations;
  }

  get unknown(): number {
    return this.#unknown;
  }

  newClient(): number {
    return ++this.#clients;
  }

  /**
   * Runs one operation and writes its line. `result` turns what `run` gave into the line's result; a refusal is written as
   * such and thrown on, an unknown outcome as unknown and thrown on.
   */
  async record<T>(
    what: Pick<Operation, 'client' | 'op' | 'key' | 'arg'>,
    run: () => Promise<T>,
    result: (value: T) => unknown,
  ): Promise<T> {
    const invokeNs = String(process.hrtime.bigint());
    try {
      const value = await run();
      const completeNs = String(process.hrtime.bigint());
      this.#write({ ...what, invokeNs, completeNs, result: result(value), code: 0, definite: true });
      return value;
    } catch (error) {
      const definite = error instanceof BrambleError && error.definite;
      const completeNs = definite ? String(process.hrtime.bigint()) : null;
      // Nothing was begun and no server said a code: the table's word for that is 5.
      const code = definite ? (error.code ?? 5) : null;
      if (!definite) this.#unknown++;
      this.#write({ ...what, invokeNs, completeNs, result: null, code, definite });
      throw error;
    }
  }

  lost(line: { client: number; key: string; token: number; heldUntilMs: number }): void {
    const heldUntilNs = String(Math.floor(line.heldUntilMs * 1e6));
    this.#write({
      client: line.client,
      op: 'lost',
      key: line.key,
      arg: { token: line.token },
      heldUntilNs,
    });
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.end(resolve));
  }

  #write(line: HistoryLine): void {
    if (line.op !== 'lost') this.#operations++;
    this.#stream.write(`${JSON.stringify(line)}\n`);
    this.#listener(line);
  }
}
