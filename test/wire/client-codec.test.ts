// The bytes of requests and responses.

import test from 'ava';
import { Writer } from '#core/base/bytes.ts';
import { DECODED_NAME_BYTES_MAX, PAGE_RECORDS_MAX } from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  MESSAGE_FAMILIES,
} from '#core/wire/client-codec.ts';
import type { ClientRequest } from '#core/wire/client-messages.ts';
import { mutated, REQUEST_TYPES, RESPONSE_TYPES, request, response } from '../support/arbitrary.ts';
import { scale } from '../support/scale.ts';

for (const type of REQUEST_TYPES) {
  test(`decodeRequest: ${type} comes back as it was`, (t) => {
    const prng = new Prng(21);
    for (let round = 0; round < scale(1_000); round++) {
      const one = request(prng, type);
      t.deepEqual(decodeRequest(encodeRequest(one)), { ok: true, value: one });
    }
  });
}

for (const type of RESPONSE_TYPES) {
  test(`decodeResponse: ${type} comes back as it was`, (t) => {
    const prng = new Prng(22);
    for (let round = 0; round < scale(1_000); round++) {
      const one = response(prng, type);
      t.deepEqual(decodeResponse(encodeResponse(one)), { ok: true, value: one });
    }
  });
}

test('decodeRequest: mutated and random bytes give a request or a problem, never an exception', (t) => {
  const prng = new Prng(23);
  let problems = 0;
  for (let round = 0; round < scale(200_000); round++) {
    if (!decodeRequest(mutated(prng, encodeRequest(request(prng)))).ok) problems++;
  }
  t.true(problems > 0);
});

test('decodeResponse: mutated and random bytes give a response or a problem, never an exception', (t) => {
  const prng = new Prng(24);
  let problems = 0;
  for (let round = 0; round < scale(100_000); round++) {
    if (!decodeResponse(mutated(prng, encodeResponse(response(prng)))).ok) problems++;
  }
  t.true(problems > 0);
});

const PING: ClientRequest = {
  request: 5,
  attempt: 2,
  session: 7,
  sequence: 9,
  answeredBelow: 8,
  body: { type: 'ping' },
};

test('decodeRequest: a wrong body behind a sound head keeps the head, so that it can be answered', (t) => {
  const { body: _, ...head } = PING;
  const bytes = encodeRequest(PING);
  bytes[bytes.length - 1] = 99;
  const unknown = decodeRequest(bytes);
  t.deepEqual(unknown, { ok: false, problem: 'unknown request 99', head });
  const long = decodeRequest(
    encodeRequest({
      ...PING,
      body: { type: 'kv-get', key: 'k'.repeat(DECODED_NAME_BYTES_MAX + 1), stale: false },
    }),
  );
  t.false(long.ok);
  if (!long.ok) t.deepEqual(long.head, head);
  const trailing = decodeRequest(Uint8Array.of(...encodeRequest(PING), 0));
  t.like(trailing, { ok: false, problem: '1 bytes too many' });
});

test('decodeRequest: a cut head leaves nobody to answer', (t) => {
  const whole = encodeRequest(PING);
  for (let size = 0; size < whole.length - 1; size++) {
    t.like(decodeRequest(whole.subarray(0, size)), { ok: false, head: null });
  }
});

test('decodeRequest, decodeResponse: the other family is refused', (t) => {
  t.false(decodeRequest(encodeResponse({ request: 1, attempt: 1, body: { type: 'ack' } })).ok);
  t.false(decodeResponse(encodeRequest(PING)).ok);
});

test('decodeRequest: text that is not UTF-8 is refused', (t) => {
  const bytes = encodeRequest({ ...PING, body: { type: 'kv-get', key: 'k', stale: false } });
  t.is(bytes[bytes.length - 2], 'k'.charCodeAt(0));
  bytes[bytes.length - 2] = 0xff;
  t.like(decodeRequest(bytes), { ok: false, problem: 'not UTF-8' });
});

test('decodeResponse: a page of PAGE_RECORDS_MAX records decodes, one more is refused', (t) => {
  const records = (count: number) =>
    encodeResponse({
      request: 1,
      attempt: 1,
      body: {
        type: 'records',
        from: 0,
        count,
        records: Array.from({ length: count }, () => Uint8Array.of(1)),
      },
    });
  t.true(decodeResponse(records(PAGE_RECORDS_MAX)).ok);
  t.false(decodeResponse(records(PAGE_RECORDS_MAX + 1)).ok);
});

test('decodeResponse: a count without its items is refused before anything is allocated', (t) => {
  const writer = new Writer().u8(MESSAGE_FAMILIES.clientResponse).varint(1).varint(1).u8(8);
  t.false(decodeResponse(writer.varint(0).varint(0).varint(4_000).finish()).ok);
});

test('decodeResponse: a measured value that is not finite is refused', (t) => {
  const bytes = encodeResponse({
    request: 1,
    attempt: 1,
    body: {
      type: 'status',
      status: {
        node: 'n1',
        version: '',
        cluster: '',
        clusterId: '',
        leader: null,
        term: 0,
        members: [],
        health: 'ok',
        insecure: false,
        uptimeMs: 1,
        metrics: [{ name: 'm', value: 1 }],
      },
    },
  });
  // The last eight bytes are the value; these two make it a NaN.
  bytes[bytes.length - 1] = 0x7f;
  bytes[bytes.length - 2] = 0xf8;
  t.like(decodeResponse(bytes), { ok: false, problem: 'not a finite number' });
});
