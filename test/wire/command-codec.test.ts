import test from 'ava';
import { COMMAND_LIST_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX } from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import type { Command } from '#core/state-machine/commands.ts';
import { decodeCommand, encodeCommand } from '#core/wire/command-codec.ts';
import { scale } from '../support/scale.ts';

const silent = [
  { lock: 'a', session: 3, owner: 1 },
  { lock: 'b', session: Number.MAX_SAFE_INTEGER, owner: 2 },
];
const commands: Command[] = [
  { type: 'bootstrap', files: 100 },
  { type: 'open-session', nonce: '0123456789abcdef0123456789abcdef', profile: 'default' },
  { type: 'open-session', nonce: 'not a nonce', profile: 'coursework' },
  {
    type: 'request',
    session: 1,
    sequence: 300,
    answeredBelow: 299,
    operation: { type: 'append', log: 'l', data: new Uint8Array([0, 255]), fence: { lock: 'g', token: 7 } },
    silent: [],
  },
  {
    type: 'request',
    session: 1,
    sequence: 1,
    answeredBelow: 1,
    operation: { type: 'release', lock: 'a', owner: 1, token: 4 },
    silent,
  },
  { type: 'end-session', session: 9, silent },
  { type: 'expire', term: 5, grants: [{ lock: 'a', token: 1 }], silent: [] },
  { type: 'expire', term: 0, grants: [], silent },
];

for (const command of commands) {
  test(`encodeCommand: comes back as it was: ${JSON.stringify(command).slice(0, 90)}`, (t) => {
    t.deepEqual(decodeCommand(encodeCommand(command)), { ok: true, value: command });
  });

  test(`decodeCommand: every cut and one byte more is a problem: ${JSON.stringify(command).slice(0, 90)}`, (t) => {
    const bytes = encodeCommand(command);
    for (let size = 0; size < bytes.length; size++) t.false(decodeCommand(bytes.subarray(0, size)).ok);
    t.false(decodeCommand(new Uint8Array([...bytes, 0])).ok);
  });
}

test('encodeCommand: both lists full still fit a message, and one more is an assertion', (t) => {
  const lock = 'a'.repeat(NAME_BYTES_MAX);
  const most = Number.MAX_SAFE_INTEGER;
  const grants = Array.from({ length: COMMAND_LIST_MAX }, () => ({ lock, token: most }));
  const full = Array.from({ length: COMMAND_LIST_MAX }, () => ({ lock, session: most, owner: most }));
  const command = { type: 'expire', term: most, grants, silent: full } as const;
  const bytes = encodeCommand(command);
  t.true(bytes.length < MESSAGE_BYTES_MAX);
  t.deepEqual(decodeCommand(bytes), { ok: true, value: command });
  t.throws(() => encodeCommand({ ...command, silent: [...full, full[0]!] }), { message: /too many silent/ });
  t.throws(() => encodeCommand({ ...command, grants: [...grants, grants[0]!] }), {
    message: /too many grants/,
  });
});

test('decodeCommand: any bytes give a command that encodes to the same bytes, or a problem', (t) => {
  const rng = new Prng(1);
  let decodedCount = 0;
  for (let round = 0; round < scale(200_000); round++) {
    const bytes = rng.chance(0.5) ? rng.bytes(rng.between(0, 40)) : encodeCommand(rng.pick(commands));
    if (bytes.length > 0) bytes[rng.between(0, bytes.length)] = rng.between(0, 256);
    const decoded = decodeCommand(bytes);
    if (!decoded.ok) continue;
    decodedCount++;
    if (Buffer.compare(encodeCommand(decoded.value), bytes) !== 0)
      t.deepEqual(encodeCommand(decoded.value), bytes);
  }
  t.true(decodedCount > 0);
});
