/**
 * Parts of a history that can be judged each by itself, since nothing in one says anything about another (Herlihy and Wing:
 * linearizability is local): a register, a log without lock, or a lock and the logs that it guards. Which lock guards a log
 * is learned from its appends; a log that was appended to under two locks joins them.
 */

import type { History, LostHold, Operation } from './history.ts';

export interface Partition {
  /** `register x`, `log audit`, `lock files with logs file_1, file_2`. */
  readonly name: string;
  readonly kind: 'register' | 'locks';
  readonly operations: Operation[];
  readonly lost: LostHold[];
}

const NAMES_SHOWN = 3;

export function partitions(history: History): Partition[] {
  const registers = new Map<string, Partition>();
  const groups = new Groups();
  const others: Operation[] = [];
  for (const operation of history.operations) {
    const { action, key } = operation;
    switch (action.type) {
      case 'put':
      case 'get':
      case 'cas':
      case 'delete': {
        let register = registers.get(key);
        if (register === undefined) {
          register = { name: `register ${key}`, kind: 'register', operations: [], lost: [] };
          registers.set(key, register);
        }
        register.operations.push(operation);
        break;
      }
      case 'append':
        others.push(operation);
        if (action.lock === null) groups.root(`log ${key}`);
        else groups.join(`log ${key}`, `lock ${action.lock}`);
        break;
      default:
        others.push(operation);
        groups.root(`${action.type === 'read' ? 'log' : 'lock'} ${key}`);
    }
  }
  const byRoot = new Map<string, Partition>();
  for (const [root, members] of groups.all()) {
    byRoot.set(root, { name: groupName(members), kind: 'locks', operations: [], lost: [] });
  }
  for (const operation of others) {
    const { type } = operation.action;
    const kind = type === 'append' || type === 'read' ? 'log' : 'lock';
    byRoot.get(groups.root(`${kind} ${operation.key}`))?.operations.push(operation);
  }
  for (const each of history.lost) byRoot.get(groups.root(`lock ${each.key}`))?.lost.push(each);
  return [...registers.values(), ...byRoot.values()];
}

function groupName(members: readonly string[]): string {
  const names = (kind: string): string[] =>
    members
      .filter((member) => member.startsWith(`${kind} `))
      .map((member) => member.slice(kind.length + 1))
      .sort();
  const parts = (['lock', 'log'] as const)
    .map((kind) => {
      const found = names(kind);
      if (found.length === 0) return '';
      const shown = found.slice(0, NAMES_SHOWN).join(', ');
      const more = found.length > NAMES_SHOWN ? ` and ${found.length - NAMES_SHOWN} more` : '';
      return `${kind}${found.length > 1 ? 's' : ''} ${shown}${more}`;
    })
    .filter((part) => part !== '');
  return parts.join(' with ');
}

/** Names that belong together (union-find with path halving). */
class Groups {
  readonly #parents = new Map<string, string>();

  root(name: string): string {
    let at = name;
    for (;;) {
      const parent = this.#parents.get(at) ?? at;
      if (parent === at) break;
      const grandparent = this.#parents.get(parent) ?? parent;
      this.#parents.set(at, grandparent);
      at = grandparent;
    }
    this.#parents.set(at, at);
    return at;
  }

  join(first: string, second: string): void {
    const [a, b] = [this.root(first), this.root(second)];
    if (a !== b) this.#parents.set(a, b);
  }

  all(): Map<string, string[]> {
    return Map.groupBy([...this.#parents.keys()], (name) => this.root(name));
  }
}
