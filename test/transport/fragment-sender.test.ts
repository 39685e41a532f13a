// The sending window by itself: growth, halving, timers, turns.

import test from 'ava';
import {
  FRAGMENT_WINDOW_MAX,
  FRAGMENT_WINDOW_MIN,
  FRAGMENT_WINDOW_START,
  REASSEMBLY_BYTES_PER_SENDER,
  REASSEMBLY_MESSAGES_PER_SENDER,
  RESEND_MAX_MS,
  RESEND_START_MS,
  TRANSFER_SILENT_MS,
} from '#core/base/limits.ts';
import { FragmentSender, type Outgoing } from '#core/transport/fragment-sender.ts';
import { wholeAcknowledgement } from '#core/wire/fragment.ts';
import type { Fragment } from '#core/wire/frame.ts';

const PART = 1_000;

function sender(): FragmentSender {
  let id = 1;
  return new FragmentSender({ partBytesMax: PART, nextId: () => id++ });
}

function outgoing(parts: number): Outgoing {
  return { message: new Uint8Array(parts * PART), to: null, onDelivered: null };
}

function drain(from: FragmentSender, nowMs: number): Fragment[] {
  const sent: Fragment[] = [];
  for (let next = from.next(nowMs); next !== null; next = from.next(nowMs)) sent.push(next.fragment);
  return sent;
}

/** An acknowledgement of exactly the fragments below `base`. */
const below = (id: number, base: number) => wholeAcknowledgement(id, base);

test('FragmentSender: starts with FRAGMENT_WINDOW_START on the way, and grows by one a round trip', (t) => {
  const one = sender();
  one.add(outgoing(1_000), 0);
  t.is(drain(one, 0).length, FRAGMENT_WINDOW_START);
  let acknowledged = 0;
  for (let round = 1; round <= 20; round++) {
    acknowledged += one.onTheWay;
    one.acknowledge(below(1, acknowledged), round * 10);
    t.is(drain(one, round * 10).length, one.window);
    t.true(Math.abs(one.window - (FRAGMENT_WINDOW_START + round)) <= 1);
  }
});

test('FragmentSender: the window stays within its bounds', (t) => {
  const one = sender();
  for (let count = 0; count < 4; count++) one.add(outgoing(1_000), 0);
  const progress = new Map<number, number>();
  for (let nowMs = 1; nowMs < 3_000 && !one.idle; nowMs++) {
    for (const { id, index } of drain(one, nowMs))
      progress.set(id, Math.max(progress.get(id) ?? 0, index + 1));
    for (const [id, base] of progress) one.acknowledge(below(id, base), nowMs);
    t.true(one.window <= FRAGMENT_WINDOW_MAX);
  }
  t.true(one.idle);
  one.add(outgoing(100), 10_000);
  for (let round = 0; round < 10; round++) {
    drain(one, one.deadline!);
    one.expire(one.deadline!);
  }
  t.is(one.window, FRAGMENT_WINDOW_MIN);
});

test('FragmentSender: a fragment passed by three later ones is lost, resent first, and halves the window once', (t) => {
  const one = sender();
  one.add(outgoing(500), 0);
  drain(one, 0);
  // Fragments 1, 2 and 3 arrived; 0 did not.
  one.acknowledge({ id: 1, base: 0, bitmap: Uint8Array.of(0b011) }, 10);
  t.is(one.onTheWay, FRAGMENT_WINDOW_START - 2, 'two are not enough');
  one.acknowledge({ id: 1, base: 0, bitmap: Uint8Array.of(0b111) }, 10);
  t.is(one.window, Math.floor(FRAGMENT_WINDOW_START / 2));
  t.is(one.next(10), null, 'more are on the way than the smaller window allows');
  // Most of the rest arrived; 4 did not, and was sent before the halving.
  one.acknowledge({ id: 1, base: 0, bitmap: Uint8Array.of(0b11110111, 0b01111111) }, 11);
  t.true(one.window >= FRAGMENT_WINDOW_START / 2, 'not halved again for the same round');
  t.is(one.next(11)?.fragment.index, 0);
  t.is(one.next(11)?.fragment.index, 4);
  t.is(one.next(11)?.fragment.index, 16);
  t.is(one.resent, 2);
});

test('FragmentSender: the resend time follows the measured round trip, backs off in silence and is bounded', (t) => {
  const one = sender();
  t.is(one.resendMs, RESEND_START_MS);
  one.add(outgoing(500), 0);
  drain(one, 0);
  one.acknowledge(below(1, 1), 100);
  t.is(one.roundTripMs, 100);
  t.is(one.resendMs, 300);
  drain(one, 100);
  let before = one.resendMs;
  for (let times = 0; times < 10; times++) {
    one.expire(one.deadline!);
    drain(one, one.deadline!);
    t.true(one.resendMs >= before);
    before = one.resendMs;
  }
  t.is(one.resendMs, RESEND_MAX_MS);
});

test('FragmentSender: a fragment that was sent twice is not measured (Karn)', (t) => {
  const one = sender();
  one.add(outgoing(2), 0);
  drain(one, 0);
  one.expire(RESEND_START_MS);
  drain(one, RESEND_START_MS);
  one.acknowledge(below(1, 1), RESEND_START_MS + 1);
  t.is(one.roundTripMs, null);
});

test('FragmentSender: a transfer is given up after TRANSFER_SILENT_MS, although others go on', (t) => {
  const one = sender();
  one.add(outgoing(3), 0);
  one.add(outgoing(1_000), 0);
  let base = 0;
  let given: readonly Outgoing[] = [];
  for (let nowMs = 0; nowMs <= TRANSFER_SILENT_MS; nowMs += 100) {
    for (const { id, index } of drain(one, nowMs)) if (id === 2) base = Math.max(base, index + 1);
    if (nowMs < TRANSFER_SILENT_MS) one.acknowledge(below(2, Math.min(base, nowMs / 100)), nowMs);
    if (one.deadline !== null && one.deadline <= nowMs) given = [...given, ...one.expire(nowMs)];
  }
  t.is(given.length, 1);
  t.is(given[0]!.message.length, 3 * PART);
  t.is(one.queuedBytes, 1_000 * PART);
});

test('FragmentSender: transfers take turns', (t) => {
  const one = sender();
  one.add(outgoing(500), 0);
  one.add(outgoing(4), 0);
  const ids = drain(one, 0).map(({ id }) => id);
  t.is(ids.filter((id) => id === 2).length, 4);
  t.deepEqual(ids.slice(0, 4), [1, 2, 1, 2]);
});

test('FragmentSender: what is under way fits the bounds of a receiver', (t) => {
  const few = sender();
  for (let count = 0; count < 10; count++) few.add(outgoing(1_000), 0);
  t.is(few.queuedBytes, 10_000 * PART);
  const ids = new Set<number>();
  for (let nowMs = 0; nowMs < 20; nowMs++) {
    for (const { id } of drain(few, nowMs)) ids.add(id);
    few.expire(few.deadline!);
  }
  t.is(ids.size, Math.floor(REASSEMBLY_BYTES_PER_SENDER / (1_000 * PART)));
  const many = sender();
  for (let count = 0; count < 100; count++) many.add(outgoing(2), 0);
  const back = many.takeBack(() => true, 0);
  t.is(back.length, 100);
  t.true(many.idle);
  t.is(many.queuedBytes, 0);
  t.true(REASSEMBLY_MESSAGES_PER_SENDER < 100);
});

test('FragmentSender.acknowledge: of an unknown message, of fragments never sent, or repeated changes nothing', (t) => {
  const one = sender();
  one.add(outgoing(500), 0);
  drain(one, 0);
  t.deepEqual(one.acknowledge(below(99, 500), 1), []);
  t.deepEqual(one.acknowledge(below(1, Number.MAX_SAFE_INTEGER), 1), []);
  t.is(one.onTheWay, 0, 'only what was sent counts as arrived');
  const { window } = one;
  t.deepEqual(one.acknowledge(below(1, 16), 2), []);
  t.is(one.window, window);
  t.is(one.next(3)?.fragment.index, 16);
});
