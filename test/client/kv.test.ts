// Keys and values: answers, lists in pages, and watches that miss nothing that lasts.

import test from 'ava';
import { RefusedError } from '#core/base/errors.ts';
import type { KvChange } from '#core/state-machine/commands.ts';
import type { KvEntry } from '#core/wire/client-messages.ts';
import { A, noAnswer, pass, refused, type Scene, scene, settled, willing } from '../support/fake-servers.ts';

test('kv: absent is null for get, code 1 for delete, code 6 for a comparison that fails', async (t) => {
  const { clock, client } = scene({
    [A]: willing({
      'kv-get': (_request, reply) => reply({ type: 'kv-value', entry: null, revision: 0 }),
      'kv-delete': (_request, reply) => reply(noAnswer(1, 'no-such-key')),
      'kv-cas': (_request, reply) => reply(noAnswer(6, 'value-differs')),
    }),
  });
  t.is(await settled(clock, client.kv.get('k')), null);
  t.is(((await t.throwsAsync(settled(clock, client.kv.delete('k')))) as RefusedError).code, 1);
  const error = await t.throwsAsync(settled(clock, client.kv.cas('k', 'a', 'b')), {
    instanceOf: RefusedError,
  });
  t.is((error as RefusedError).code, 6);
  t.deepEqual(await settled(clock, client.kv.put('k', 'v')), { revision: 1 });
});

/** A store whose history can be forgotten, with pages of two. */
class Store {
  readonly entries = new Map<string, KvEntry>();
  changes: KvChange[] = [];
  revision = 0;
  forgotten = 0;
  lists = 0;
  readonly #parked = new Set<() => boolean>();

  put(key: string, value: string | null): void {
    this.revision++;
    if (value === null) this.entries.delete(key);
    else this.entries.set(key, { key, value, revision: this.revision });
    this.changes.push({ key, value, revision: this.revision });
    for (const wake of [...this.#parked]) if (wake()) this.#parked.delete(wake);
  }

  forget(): void {
    this.forgotten = this.revision;
    this.changes = [];
  }

  scene(): Scene {
    return scene({
      [A]: willing({
        'kv-list': ({ body }, reply) => {
          if (body.type !== 'kv-list') return;
          this.lists++;
          const keys = [...this.entries.keys()].filter((key) => key.startsWith(body.prefix)).sort();
          const rest = keys.filter((key) => key > body.after);
          const entries = rest.slice(0, 2).map((key) => this.entries.get(key) as KvEntry);
          reply({ type: 'kv-entries', entries, more: rest.length > 2, revision: this.revision });
        },
        'kv-changes': ({ body }, reply) => {
          if (body.type !== 'kv-changes') return;
          const run = (): boolean => {
            const changes = this.changes.filter(
              ({ key, revision }) => revision > body.since && key.startsWith(body.prefix),
            );
            if (body.since < this.forgotten) reply(refused(8, 'history-trimmed'));
            else if (changes.length === 0) return false;
            else reply({ type: 'kv-changes', changes, revision: this.revision });
            return true;
          };
          if (!run()) this.#parked.add(run);
        },
      }),
    });
  }
}

async function watch(
  { client }: Scene,
  options: Parameters<typeof client.kv.watch>[1],
): Promise<{ got: string[]; stop: () => void }> {
  const controller = new AbortController();
  const got: string[] = [];
  (async () => {
    for await (const { key, value } of client.kv.watch('a/', { ...options, signal: controller.signal })) {
      got.push(`${key}=${value ?? '-'}`);
    }
  })().catch(() => {});
  return { got, stop: () => controller.abort() };
}

test('kv.list: reads page by page, in the order of keys', async (t) => {
  const store = new Store();
  for (const key of ['a/3', 'a/1', 'b/1', 'a/2', 'a/5', 'a/4']) store.put(key, key);
  const { clock, client } = store.scene();
  const listing = (async () => {
    const keys: string[] = [];
    for await (const entry of client.kv.list('a/')) keys.push(entry.key);
    return keys;
  })();
  t.deepEqual(await settled(clock, listing), ['a/1', 'a/2', 'a/3', 'a/4', 'a/5']);
});

test('kv.watch: yields changes from its beginning on, deletions too, and nothing of other prefixes', async (t) => {
  const store = new Store();
  store.put('a/1', 'old');
  const stage = store.scene();
  const { got, stop } = await watch(stage, {});
  await pass(stage.clock, 20);
  store.put('a/1', 'new');
  store.put('b/1', 'other');
  store.put('a/2', 'two');
  store.put('a/1', null);
  await pass(stage.clock, 20);
  t.deepEqual(got, ['a/1=new', 'a/2=two', 'a/1=-']);
  stop();
});

test('kv.watch: initial yields what is there first', async (t) => {
  const store = new Store();
  for (const key of ['a/1', 'a/2', 'a/3']) store.put(key, 'x');
  const stage = store.scene();
  const { got, stop } = await watch(stage, { initial: true });
  await pass(stage.clock, 20);
  store.put('a/3', 'y');
  await pass(stage.clock, 20);
  t.deepEqual(got, ['a/1=x', 'a/2=x', 'a/3=x', 'a/3=y']);
  stop();
});

test('kv.watch: when the history it needs is trimmed, it lists again and yields the differences', async (t) => {
  const store = new Store();
  store.put('a/changed', '1');
  store.put('a/same', '1');
  store.put('a/deleted', '1');
  const stage = store.scene();
  const { got, stop } = await watch(stage, {});
  await pass(stage.clock, 20);
  // Cut off from the server while more happens than it keeps.
  const handler = stage.servers.handlers.get(A);
  stage.servers.handlers.delete(A);
  // Still answers the read that it has parked.
  store.put('a/changed', '2');
  await pass(stage.clock, 20);
  t.deepEqual(got.splice(0), ['a/changed=2']);
  store.put('a/changed', '3');
  store.put('a/deleted', null);
  store.put('a/new', '1');
  store.forget();
  if (handler !== undefined) stage.servers.handlers.set(A, handler);
  await pass(stage.clock, 13_000, 2);
  t.deepEqual([...got].sort(), ['a/changed=3', 'a/deleted=-', 'a/new=1']);
  store.put('a/same', '2');
  await pass(stage.clock, 1_500);
  t.is(got.at(-1), 'a/same=2');
  t.true(store.lists >= 4);
  stop();
});

test('kv.watch: since begins after a revision, without a list', async (t) => {
  const store = new Store();
  for (const value of ['1', '2', '3']) store.put('a/1', value);
  const stage = store.scene();
  const { got, stop } = await watch(stage, { since: 1 });
  await pass(stage.clock, 20);
  t.deepEqual(got, ['a/1=2', 'a/1=3']);
  t.is(store.lists, 0);
  stop();
});
