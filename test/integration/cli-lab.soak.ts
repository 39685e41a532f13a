// `bramble lab --smoke` as a whole: a kill, pauses of the server and of a lock's holder, and the check.

import test from 'ava';
import { bramble } from '../support/processes.ts';

test('lab --smoke passes, and says so', async (t) => {
  const ended = await bramble(t, ['lab', '--smoke']);
  t.is(ended.code, 0, ended.stdout.toString() + ended.stderr);
  t.regex(ended.stdout.toString(), /^PASSED$/m);
});

test('lab --smoke --json ends with a verdict', async (t) => {
  const ended = await bramble(t, ['lab', '--smoke', '--json']);
  t.is(ended.code, 0, ended.stdout.toString() + ended.stderr);
  const last = JSON.parse(ended.stdout.toString().trim().split('\n').at(-1) as string) as {
    event: string;
    passed: boolean;
    acknowledgedAppends: number;
  };
  t.is(last.event, 'verdict');
  t.true(last.passed);
  t.true(last.acknowledgedAppends > 0);
});
