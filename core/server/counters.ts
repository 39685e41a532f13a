/** Named counters that only grow: what the server refused, dropped and did, for status and metrics. */

export class Counters {
  readonly #values = new Map<string, number>();

  add(name: string, count = 1): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + count);
  }

  get(name: string): number {
    return this.#values.get(name) ?? 0;
  }

  /** All counters in the order of their names. */
  entries(): { readonly name: string; readonly value: number }[] {
    return [...this.#values].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => ({ name, value }));
  }
}
