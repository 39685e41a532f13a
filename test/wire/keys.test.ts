// Which key derives from which, and what a key file may say.

import test from 'ava';
import { hex } from '#core/base/bytes.ts';
import { Prng } from '#core/base/prng.ts';
import { nodeCrypto } from '#core/node/crypto.ts';
import {
  clientKeyRing,
  deriveKey,
  formatKeyFile,
  helloKey,
  type Key,
  newClusterKey,
  parseKeyFile,
  serverKeyRing,
  trafficKey,
} from '#core/wire/keys.ts';

const crypto = nodeCrypto;
const CLUSTER = newClusterKey(new Prng(1));
const CLIENT = deriveKey({ crypto, key: CLUSTER, role: 'client' }) as Key;
const OBSERVER = deriveKey({ crypto, key: CLUSTER, role: 'observer' }) as Key;

test('deriveKey: client and observer derive from the cluster key, always the same and each its own', (t) => {
  t.deepEqual(deriveKey({ crypto, key: CLUSTER, role: 'client' }), CLIENT);
  t.is(new Set([CLUSTER, CLIENT, OBSERVER].map((key) => hex(key.bytes))).size, 3);
});

test('deriveKey: nothing derives upwards or sideways', (t) => {
  t.is(deriveKey({ crypto, key: CLIENT, role: 'cluster' }), 'no cluster key derives from a client key');
  t.is(deriveKey({ crypto, key: CLIENT, role: 'observer' }), 'no observer key derives from a client key');
  t.is(deriveKey({ crypto, key: OBSERVER, role: 'client' }), 'no client key derives from a observer key');
  t.is(deriveKey({ crypto, key: CLIENT, role: 'client' }), CLIENT);
});

test('serverKeyRing: holds all classes, the current key before the previous one', (t) => {
  const previous = newClusterKey(new Prng(2));
  const ring = serverKeyRing(crypto, CLUSTER, previous);
  t.is(ring.sends, 'peer');
  t.deepEqual([...ring.classKeys.keys()], ['peer', 'client', 'observer']);
  t.deepEqual(ring.classKeys.get('client'), [
    CLIENT.bytes,
    (deriveKey({ crypto, key: previous, role: 'client' }) as Key).bytes,
  ]);
});

test('clientKeyRing: the cluster key serves as a client key, an observer key stays one', (t) => {
  t.deepEqual(clientKeyRing(crypto, CLUSTER), clientKeyRing(crypto, CLIENT));
  t.is(clientKeyRing(crypto, OBSERVER).sends, 'observer');
  t.deepEqual([...clientKeyRing(crypto, CLIENT).classKeys.keys()], ['client']);
});

test('trafficKey: differs by class key, class, cluster, sender, receiver and direction', (t) => {
  const prng = new Prng(3);
  const base = {
    crypto,
    classKey: CLIENT.bytes,
    keyClass: 'client',
    clusterId: prng.bytes(16),
    sender: prng.bytes(16),
    receiver: prng.bytes(16),
  } as const;
  const keys = [
    base,
    { ...base, classKey: OBSERVER.bytes },
    { ...base, keyClass: 'observer' as const },
    { ...base, clusterId: prng.bytes(16) },
    { ...base, sender: prng.bytes(16) },
    { ...base, receiver: prng.bytes(16) },
    { ...base, sender: base.receiver, receiver: base.sender },
  ].map((options) => hex(trafficKey(options)));
  t.is(new Set([...keys, hex(helloKey(crypto, CLIENT.bytes))]).size, keys.length + 1);
});

test('parseKeyFile: gives back what formatKeyFile wrote, whatever comments and line ends surround it', (t) => {
  for (const key of [CLUSTER, CLIENT, OBSERVER]) {
    const text = formatKeyFile(key);
    t.true(text.startsWith('# '));
    t.deepEqual(parseKeyFile(text), key);
    t.deepEqual(parseKeyFile(`# mine\r\n\r\n${text.replaceAll('\n', '\r\n')}# end`), key);
  }
});

test('parseKeyFile: says what is wrong, and quotes no key', (t) => {
  const digits = hex(CLUSTER.bytes);
  const wrong: [string, RegExp][] = [
    ['', /empty/],
    [' \n\n', /empty/],
    ['# only a comment\n', /not a bramble key file/],
    ['-----BEGIN PRIVATE KEY-----\nabc\n', /not a bramble key file/],
    [digits, /not a bramble key file/],
    [`bramble-key 2 cluster ${digits}`, /another version/],
    [`bramble-key 1 peer ${digits}`, /unknown role/],
    ['bramble-key 1 cluster', /not a whole key line/],
    [`bramble-key 1 cluster ${digits.slice(1)}`, /64 hexadecimal digits/],
    [`bramble-key 1 cluster ${digits}00`, /64 hexadecimal digits/],
    [`bramble-key 1 cluster ${digits.slice(1)}g`, /64 hexadecimal digits/],
    [`${formatKeyFile(CLUSTER)}${formatKeyFile(CLIENT)}`, /2 lines/],
  ];
  for (const [text, expected] of wrong) {
    const problem = parseKeyFile(text);
    t.regex(problem as string, expected);
    t.false((problem as string).includes(digits.slice(1, 20)));
  }
});
