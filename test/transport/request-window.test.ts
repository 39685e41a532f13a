// The retransmission timeout (RFC 6298) and the window of numbered requests.

import test from 'ava';
import { AssertionError } from '#core/base/assert.ts';
import { RESEND_CEILING_MS, RESEND_FLOOR_MS, RESEND_INITIAL_MS, SESSION_WINDOW } from '#core/base/limits.ts';
import { RoundTripEstimate, SequenceWindow } from '#core/transport/request-window.ts';

test('RoundTripEstimate: the first sample R gives SRTT = R and RTO = R + 4 · R/2 (rule 2.2)', (t) => {
  const estimate = new RoundTripEstimate();
  t.is(estimate.timeoutMs, RESEND_INITIAL_MS);
  t.is(estimate.smoothedMs, null);
  estimate.sample(100);
  t.is(estimate.smoothedMs, 100);
  t.is(estimate.timeoutMs, 300);
});

test('RoundTripEstimate: later samples weigh 1/4 in the variation, then 1/8 in the mean (rule 2.3)', (t) => {
  const estimate = new RoundTripEstimate();
  estimate.sample(100);
  estimate.sample(180);
  // RTTVAR = 3/4 · 50 + 1/4 · |100 − 180| = 57.5; SRTT = 7/8 · 100 + 1/8 · 180 = 110.
  t.is(estimate.smoothedMs, 110);
  t.is(estimate.timeoutMs, 110 + 4 * 57.5);
});

test('RoundTripEstimate: stays between floor and ceiling, and refuses a negative sample', (t) => {
  const quick = new RoundTripEstimate();
  for (let count = 0; count < 50; count++) quick.sample(0.1);
  t.is(quick.timeoutMs, RESEND_FLOOR_MS);
  const slow = new RoundTripEstimate();
  slow.sample(60_000);
  t.is(slow.timeoutMs, RESEND_CEILING_MS);
  t.throws(() => slow.sample(-1), { instanceOf: AssertionError });
});

test('SequenceWindow: 32 requests may be open, counted from the oldest that is', (t) => {
  const window = new SequenceWindow();
  for (let count = 0; count < SESSION_WINDOW; count++) t.is(window.begin(), count + 1);
  t.is(window.room, 0);
  t.throws(() => window.begin(), { instanceOf: AssertionError });
  window.finish(2);
  t.is(window.room, 0);
  t.is(window.answeredBelow, 1);
  window.finish(1);
  t.is(window.answeredBelow, 3);
  t.is(window.room, 2);
  t.is(window.begin(), 33);
});

test('SequenceWindow: answeredBelow passes what is finished out of order, and nothing else', (t) => {
  const window = new SequenceWindow();
  t.is(window.answeredBelow, 1);
  const [first, second, third] = [window.begin(), window.begin(), window.begin()];
  window.finish(third);
  t.is(window.answeredBelow, first);
  window.finish(first);
  t.is(window.answeredBelow, second);
  window.finish(second);
  t.is(window.answeredBelow, 4);
  t.is(window.openCount, 0);
  t.throws(() => window.finish(second), { instanceOf: AssertionError });
});
