// Names become numbers at the edge.

import test from 'ava';
import { resolveAddress, resolveToAddress } from '#core/node/resolve.ts';

test('resolveAddress: numbers stay as they are', async (t) => {
  t.deepEqual(await resolveAddress('10.0.0.1:80'), { host: '10.0.0.1', port: 80 });
  t.is(await resolveToAddress('[::1]:80'), '[::1]:80');
  t.is(await resolveToAddress('10.0.0.1'), '10.0.0.1:7700');
});

test('resolveAddress: a name becomes a number', async (t) => {
  t.regex(await resolveToAddress('localhost:80'), /^(127\.0\.0\.1|\[::1\]):80$/);
});

test('resolveAddress: what is no address is refused with its text', async (t) => {
  for (const wrong of ['', 'a:b', 'a:70000', ':80']) {
    await t.throwsAsync(resolveAddress(wrong), { name: 'UsageError', message: /is not host:port/ });
  }
});
