import test from 'ava';
import { AssertionError } from '#core/base/assert.ts';
import { Prng } from '#core/base/prng.ts';
import type { MachineImage } from '#core/state-machine/image.ts';
import { checkMachine } from '#core/state-machine/invariants.ts';
import { Machine } from '#core/state-machine/machine.ts';
import { decodeCommand, encodeCommand } from '#core/wire/command-codec.ts';
import { decodeMachine, encodeMachine } from '#core/wire/snapshot-codec.ts';
import { Driver } from '../state-machine/kit.ts';
import { RandomCommands } from '../state-machine/random-commands.ts';
import { scale } from '../support/scale.ts';

function restored(machine: Machine): Machine {
  const decoded = decodeMachine(encodeMachine(machine.image()));
  if (!decoded.ok) throw new Error(decoded.problem);
  return Machine.fromImage(decoded.value);
}

/** A machine in which everything is there: holders, a queue, kept answers, logs, keys and changes. */
function busy(): Machine {
  const driver = new Driver();
  driver.apply({ type: 'bootstrap', files: 2 });
  const [first, second] = [driver.open(), driver.open()];
  const token = driver.hold(first, 'files');
  driver.acquire(second, 'files');
  driver.hold(second, 'a', { mode: 'shared' });
  driver.append(first, 'file_0', 'x', { lock: 'files', token });
  driver.run(first, { type: 'kv-put', key: 'k', value: 'v' });
  driver.run(first, { type: 'kv-put', key: 'l', value: '\u00e9' });
  driver.run(first, { type: 'kv-delete', key: 'k' });
  return driver.machine;
}

test('encodeMachine: an empty machine comes back as it was', (t) => {
  const machine = new Machine();
  t.deepEqual(restored(machine).image(), machine.image());
});

test('encodeMachine: everything comes back as it was', (t) => {
  const image = busy().image();
  t.deepEqual(decodeMachine(encodeMachine(image)), { ok: true, value: image });
  t.deepEqual(Machine.fromImage(image).image(), image);
});

test('decodeMachine: every cut of the bytes and another version are problems, not exceptions', (t) => {
  const bytes = encodeMachine(busy().image());
  for (let size = 0; size < bytes.length; size++) t.false(decodeMachine(bytes.subarray(0, size)).ok);
  t.false(decodeMachine(new Uint8Array([...bytes, 0])).ok);
  t.false(decodeMachine(new Uint8Array([2, ...bytes.subarray(1)])).ok);
});

test('decodeMachine: any flipped byte gives a problem, an image, or an image that no machine stands on', (t) => {
  const bytes = encodeMachine(busy().image());
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const wrong = bytes.slice();
      wrong[at] = (wrong[at] as number) ^ flip;
      const decoded = decodeMachine(wrong);
      if (!decoded.ok) continue;
      try {
        checkMachine(Machine.fromImage(decoded.value));
      } catch (error) {
        t.true(error instanceof AssertionError, String(error));
      }
    }
  }
  t.pass();
});

const impossible: [string, (image: MachineImage) => MachineImage][] = [
  [
    'a waiter whose request is answered',
    (image) => ({
      ...image,
      sessions: image.sessions.map((session) => ({
        ...session,
        requests: session.requests.filter(({ answer }) => answer !== null),
      })),
    }),
  ],
  [
    'a pending request that waits for nothing',
    (image) => ({
      ...image,
      locks: image.locks.map((lock) => ({ ...lock, waiters: [] })),
    }),
  ],
  ['a token above the counter', (image) => ({ ...image, nextToken: 1 })],
  ['a session above the counter', (image) => ({ ...image, nextSession: 1 })],
  ['a log above the counter', (image) => ({ ...image, nextLog: 1 })],
  ['a key above the revision', (image) => ({ ...image, revision: 1, changes: [] })],
  ['a gap in the changes', (image) => ({ ...image, changes: image.changes.slice(0, -1) })],
  ['a holder whose session has ended', (image) => ({ ...image, sessions: image.sessions.slice(1) })],
  [
    'two exclusive holders',
    (image) => ({
      ...image,
      locks: image.locks.map((lock) => ({ ...lock, grants: [...lock.grants, ...lock.grants] })),
    }),
  ],
  ['names out of order', (image) => ({ ...image, logs: [...image.logs].reverse() })],
];
for (const [what, change] of impossible) {
  test(`Machine.fromImage: ${what} is an assertion`, (t) => {
    t.throws(() => Machine.fromImage(change(busy().image())), { instanceOf: AssertionError });
  });
}

for (let seed = 1; seed <= scale(60); seed++) {
  test(`Machine.fromImage: a restored machine goes on exactly as the first (seed ${seed})`, (t) => {
    const rng = new Prng(seed);
    const commands = new RandomCommands(rng.fork());
    const first = new Machine();
    let second = new Machine();
    for (let index = 1; index <= 1_500; index++) {
      const { term, command } = commands.draw(first);
      const decoded = decodeCommand(encodeCommand(command));
      if (!decoded.ok) return t.fail(decoded.problem);
      t.deepEqual(decoded.value, command);
      const effects = first.apply({ index, term, command });
      t.deepEqual(second.apply({ index, term, command: decoded.value }), effects, `command ${index}`);
      if (command.type === 'request') checkRequest(first, command.session, command.sequence, effects.answers);
      if (rng.chance(0.02)) {
        checkMachine(first);
        second = restored(second);
        checkMachine(second);
      }
    }
    t.deepEqual(encodeMachine(second.image()), encodeMachine(first.image()));
    // Some seeds leave their sessions waiting for long; none may do nothing.
    t.true(first.counts.tokensIssued > 30);

    /** Whatever an entry answers is what a repetition will be told. */
    function checkRequest(
      machine: Machine,
      session: number,
      sequence: number,
      answers: readonly unknown[],
    ): void {
      const answered = answers.find(
        (one) =>
          (one as { session: number }).session === session &&
          (one as { sequence: number }).sequence === sequence,
      ) as { answer: unknown } | undefined;
      const state = machine.requestState(session, sequence, 1);
      if (answered === undefined || state.type === 'no-session') return;
      t.deepEqual(state, { type: 'answered', answer: answered.answer } as typeof state);
    }
  });
}
