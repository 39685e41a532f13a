// Which server is asked.

import test from 'ava';
import { AssertionError } from '#core/base/assert.ts';
import { LeaderTracker } from '#core/client/leader-tracker.ts';

test('LeaderTracker: goes round the list, moved by whoever leaves the present server', (t) => {
  const tracker = new LeaderTracker(['a:1', 'b:1', 'c:1']);
  t.is(tracker.current, 'a:1');
  tracker.leave('a:1');
  t.is(tracker.current, 'b:1');
  // Another exchange that was silent on the same server does not skip one.
  tracker.leave('a:1');
  t.is(tracker.current, 'b:1');
  tracker.leave('b:1');
  tracker.leave('c:1');
  t.is(tracker.current, 'a:1');
});

test('LeaderTracker: follows a leader inside and outside its list, and comes back from one that is silent', (t) => {
  const tracker = new LeaderTracker(['a:1', 'b:1', 'c:1']);
  tracker.follow('c:1');
  t.is(tracker.current, 'c:1');
  tracker.leave('c:1');
  t.is(tracker.current, 'a:1');
  tracker.follow('elsewhere:9');
  t.is(tracker.current, 'elsewhere:9');
  tracker.leave('elsewhere:9');
  t.is(tracker.current, 'b:1');
});

test('LeaderTracker: one server stays the one; none is wrong', (t) => {
  const tracker = new LeaderTracker(['a:1']);
  tracker.leave('a:1');
  t.is(tracker.current, 'a:1');
  t.throws(() => new LeaderTracker([]), { instanceOf: AssertionError });
});

test('LeaderTracker: estimates are by address, and hints do not make them grow for ever', (t) => {
  const tracker = new LeaderTracker(['a:1']);
  tracker.estimate('a:1').sample(5);
  t.is(tracker.estimate('a:1').smoothedMs, 5);
  t.is(tracker.estimate('b:1').smoothedMs, null);
  for (let port = 0; port < 1_000; port++) tracker.estimate(`hint:${port}`).sample(1);
  t.is(tracker.estimate('hint:0').smoothedMs, null);
});
