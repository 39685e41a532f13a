import test from 'ava';
import { KEYS_MAX, KV_CHANGES_KEPT, PAGE_BYTES_MAX } from '#core/base/limits.ts';
import type { Answer } from '#core/state-machine/commands.ts';
import { noEffects } from '#core/state-machine/effects.ts';
import { Kv } from '#core/state-machine/kv.ts';
import { Driver, done, refusal } from './kit.ts';

function client() {
  const driver = new Driver();
  const session = driver.open();
  return {
    driver,
    put: (key: string, value: string): Answer | null => driver.run(session, { type: 'kv-put', key, value }),
    remove: (key: string): Answer | null => driver.run(session, { type: 'kv-delete', key }),
    cas: (key: string, expect: string | null, value: string): Answer | null =>
      driver.run(session, { type: 'kv-cas', key, expect, value }),
  };
}

/** Keys in numbers, without sessions around them. */
function filled(count: number, value = 'v'): Kv {
  const kv = new Kv();
  for (let number = 0; number < count; number++) {
    kv.put(`k${String(number).padStart(6, '0')}`, value, noEffects());
  }
  return kv;
}

test('Kv.put: the revision grows with each change and is the answer', (t) => {
  const { driver, put } = client();
  t.deepEqual(put('a', 'x'), done(1));
  t.deepEqual(put('a', 'x'), done(2));
  t.deepEqual(driver.effects.kvChanges, [{ key: 'a', value: 'x', revision: 2 }]);
  t.deepEqual(driver.machine.kv.get('a'), { key: 'a', value: 'x', revision: 2 });
  t.is(driver.machine.kv.get('b'), null);
});

test('Kv.delete: the key goes; an absent key is code 1 and changes nothing', (t) => {
  const { driver, put, remove } = client();
  t.deepEqual(remove('a'), refusal(1, 'no-such-key'));
  t.is(driver.machine.kv.revision, 0);
  put('a', 'x');
  t.deepEqual(remove('a'), done(2));
  t.deepEqual(driver.effects.kvChanges, [{ key: 'a', value: null, revision: 2 }]);
  t.is(driver.machine.kv.get('a'), null);
});

test('Kv.compareAndSet: matches, differs, exists and is absent', (t) => {
  const { driver, cas } = client();
  t.deepEqual(cas('a', 'x', 'y'), refusal(6, 'value-differs'));
  t.deepEqual(cas('a', null, 'x'), done(1));
  t.deepEqual(cas('a', null, 'y'), refusal(6, 'key-exists'));
  t.deepEqual(cas('a', 'z', 'y'), refusal(6, 'value-differs'));
  t.deepEqual(driver.effects.kvChanges, []);
  t.deepEqual(cas('a', 'x', ''), done(2));
  t.deepEqual(cas('a', '', 'z'), done(3));
});

test('Kv: keys are 1 to 128 of printable ASCII without brackets', (t) => {
  const { put, remove, cas } = client();
  const bad = refusal(4, 'bad-key');
  for (const key of ['', 'k'.repeat(129), 'a[0', 'a]', 'a\nb', 'a\n', 'k\u00e9', '\x7f', '\0']) {
    t.deepEqual([put(key, 'v'), remove(key), cas(key, null, 'v')], [bad, bad, bad]);
  }
  for (const key of ['k', 'k'.repeat(128), ' ', '~', 'a/b{c}\\^_`']) t.is(put(key, 'v')?.code, 0);
});

test('Kv: values are 0 to 2,048 bytes of UTF-8', (t) => {
  const { put, cas } = client();
  const bad = refusal(4, 'bad-value');
  for (const value of ['v'.repeat(2_049), '\u00e9'.repeat(1_025), '\ud800']) {
    t.deepEqual([put('k', value), cas('k', null, value), cas('k', value, 'v')], [bad, bad, bad]);
  }
  for (const value of ['', 'v'.repeat(2_048), '\u00e9'.repeat(1_024), '\0']) t.is(put('k', value)?.code, 0);
});

test('Kv.list: keys with the prefix, in the order of code units, by pages', (t) => {
  const { driver, put } = client();
  for (const key of ['b/2', 'a', 'b/10', 'b', 'c', 'b/1', 'B']) put(key, key);
  const keys = (prefix: string, after: string, limit: number) => {
    const { entries, more } = driver.machine.kv.list(prefix, after, limit);
    return [entries.map(({ key }) => key).join(' '), more];
  };
  t.deepEqual(keys('', '', 100), ['B a b b/1 b/10 b/2 c', false]);
  t.deepEqual(keys('b/', '', 2), ['b/1 b/10', true]);
  t.deepEqual(keys('b/', 'b/10', 2), ['b/2', false]);
  t.deepEqual(keys('b/', 'b/2', 2), ['', false]);
  t.deepEqual(keys('b/', 'a', 1), ['b/1', true]);
  t.deepEqual(keys('b', 'zz', 5), ['', false]);
  t.deepEqual(keys('x', '', 5), ['', false]);
});

test('Kv.list: all keys by pages, each once, no page larger than a response may be', (t) => {
  const value = 'v'.repeat(1_000);
  const kv = filled(2_000, value);
  const seen: string[] = [];
  for (let after = '', more = true; more; after = seen.at(-1) as string) {
    const page = kv.list('', after, 10_000);
    t.true(page.entries.length > 0);
    t.true(page.entries.length * value.length <= PAGE_BYTES_MAX);
    for (const { key } of page.entries) seen.push(key);
    more = page.more;
  }
  t.is(new Set(seen).size, 2_000);
  t.deepEqual(seen, [...seen].sort());
});

test('Kv.changesSince: what changed above a revision with a prefix, and where to go on', (t) => {
  const { driver, put, remove } = client();
  put('a', '1');
  put('b', '2');
  remove('a');
  const { kv } = driver.machine;
  t.deepEqual(kv.changesSince(0, ''), {
    changes: [
      { key: 'a', value: '1', revision: 1 },
      { key: 'b', value: '2', revision: 2 },
      { key: 'a', value: null, revision: 3 },
    ],
    revision: 3,
  });
  t.deepEqual(kv.changesSince(1, 'a'), { changes: [{ key: 'a', value: null, revision: 3 }], revision: 3 });
  t.deepEqual(kv.changesSince(3, ''), { changes: [], revision: 3 });
  t.deepEqual(kv.changesSince(99, ''), { changes: [], revision: 3 });
});

test('Kv.changesSince: the last KV_CHANGES_KEPT changes are kept, and one more is trimmed', (t) => {
  const kv = filled(KV_CHANGES_KEPT + 10);
  t.is(kv.changesSince(9, ''), 'trimmed');
  t.is(kv.changesSince(0, 'nothing'), 'trimmed');
  const all = kv.changesSince(10, '');
  t.true(all !== 'trimmed' && all.changes.length === KV_CHANGES_KEPT && all.revision === kv.revision);
});

test('Kv.load: what was trimmed stays trimmed, and changes go on in the same ring', (t) => {
  const kv = filled(KV_CHANGES_KEPT + 10);
  const image = kv.image();
  t.is(image.changes.length, KV_CHANGES_KEPT);
  const loaded = new Kv();
  loaded.load(kv.revision, image.entries, image.changes);
  t.is(loaded.changesSince(9, ''), 'trimmed');
  for (const one of [kv, loaded]) one.put('more', 'v', noEffects());
  t.is(loaded.changesSince(10, ''), 'trimmed');
  t.deepEqual(loaded.changesSince(11, ''), kv.changesSince(11, ''));
  t.deepEqual(loaded.image(), kv.image());
});

test('Kv.changesSince: a long list comes in pages that go on where the last one ended', (t) => {
  const kv = filled(500, 'v'.repeat(2_000));
  const revisions: number[] = [];
  for (let since = 0; since < kv.revision; ) {
    const page = kv.changesSince(since, '');
    if (page === 'trimmed') return t.fail();
    t.true(page.changes.length > 0 && page.changes.length < 500);
    for (const change of page.changes) revisions.push(change.revision);
    since = page.revision;
  }
  t.deepEqual(
    revisions,
    Array.from({ length: 500 }, (_, place) => place + 1),
  );
});

test('Kv.put: the key after KEYS_MAX is refused by name; those that are there can still be changed', (t) => {
  const kv = filled(KEYS_MAX);
  t.deepEqual(kv.put('one-more', 'v', noEffects()), refusal(4, 'too-many-keys'));
  t.deepEqual(kv.compareAndSet('one-more', null, 'v', noEffects()), refusal(4, 'too-many-keys'));
  t.is(kv.put('k000005', 'w', noEffects()).code, 0);
  kv.delete('k000005', noEffects());
  t.is(kv.put('one-more', 'v', noEffects()).code, 0);
  // A page in between changes costs as much as the page.
  for (let round = 0; round < 2_000; round++) {
    kv.delete(`k${String(10 + round).padStart(6, '0')}`, noEffects());
    kv.list('k05', '', 10);
  }
  t.is(kv.size, KEYS_MAX - 2_000);
});
