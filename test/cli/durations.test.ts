import test from 'ava';
import { formatDuration, humanDuration, parseDuration } from '#core/cli/durations.ts';

test('parseDuration: a number and its unit give milliseconds', (t) => {
  t.is(parseDuration('250ms'), 250);
  t.is(parseDuration('2s'), 2_000);
  t.is(parseDuration('1m'), 60_000);
  t.is(parseDuration('1h'), 3_600_000);
  t.is(parseDuration('1.5s'), 1_500);
  t.is(parseDuration('0ms'), 0);
});

for (const text of ['', '2', '-1s', '2 s', 's', '2S', '2d', '1e3ms', '.5s', '99999999h', '0x1s', '2s ']) {
  test(`parseDuration: ${JSON.stringify(text)} is no duration`, (t) => {
    t.is(parseDuration(text), null);
  });
}

test('formatDuration: gives what parseDuration reads back', (t) => {
  for (const durationMs of [0, 1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000]) {
    t.is(parseDuration(formatDuration(durationMs)), durationMs);
  }
  t.is(formatDuration(90_000), '90s');
});

test('humanDuration: rounds to what a person wants to know', (t) => {
  t.is(humanDuration(0.25), '0.25 ms');
  t.is(humanDuration(340.4), '340 ms');
  t.is(humanDuration(1_240), '1.2 s');
  t.is(humanDuration(125_000), '2 min 5 s');
});
