// Everything that CI checks, one step after the other, and one sum of all tests at the end.
//
// A failing step does not stop the others: one run shows all that is wrong. The last line is
// "N passed, N failed"; a step that failed without a failed test of its own (lint, types, a crashed
// tier) counts as one, so that a red run never says "0 failed".

import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';

type Step = { script: string; tests: string | null; root: boolean };
type Outcome = { script: string; passed: number; failed: number; exitCode: number };

const steps: Step[] = [
  { script: 'lint', tests: null, root: false },
  { script: 'types', tests: null, root: false },
  { script: 'test', tests: 'test/**/*.test.ts', root: false },
  { script: 'test:soak', tests: 'test/**/*.soak.ts', root: false },
  { script: 'test:system', tests: 'test/**/*.system.ts', root: true },
];

/** The count before a word in ava's closing lines ("  12 tests passed"), or null. The last such line
 * counts, since a test may print anything before them. */
function summed(output: string, word: string): number | null {
  const matches = [...output.matchAll(new RegExp(`^\\s*(\\d+) tests? ${word}\\s*$`, 'gm'))];
  const last = matches.at(-1);
  return last === undefined ? null : Number(last[1]);
}

/** How many tests passed. Beside a failure ava's closing lines leave that out, so the ticks count. */
function passedIn(output: string): number {
  return summed(output, 'passed') ?? [...output.matchAll(/^\s*[✔√] /gm)].length;
}

/** Runs one npm script with its output shown and kept. */
async function run(step: Step): Promise<Outcome> {
  const child = spawn('npm', ['run', '-s', step.script], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    from.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      to.write(text);
    });
  }
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character opens a colour code
  const plain = output.replace(/\x1b\[[\d;]*m/g, '');
  const counted = step.tests === null ? 0 : (summed(plain, 'failed') ?? 0);
  return {
    script: step.script,
    passed: step.tests === null ? 0 : passedIn(plain),
    failed: exitCode === 0 ? counted : Math.max(1, counted),
    exitCode,
  };
}

/** Why a step cannot run here, or null. */
function obstacle(step: Step): string | null {
  if (step.tests !== null && globSync(step.tests).length === 0) return `there is no ${step.tests}`;
  if (step.root && process.getuid?.() !== 0) return 'it needs root';
  return null;
}

const outcomes: Outcome[] = [];
for (const step of steps) {
  const reason = obstacle(step);
  if (reason !== null) {
    process.stdout.write(`ci: not running ${step.script}: ${reason}\n`);
    continue;
  }
  process.stdout.write(`ci: npm run ${step.script}\n`);
  const startedAt = performance.now();
  const outcome = await run(step);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`ci: ${step.script} ended with ${outcome.exitCode} after ${seconds} s\n`);
  outcomes.push(outcome);
}

const red = outcomes.filter((outcome) => outcome.failed > 0);
if (red.length > 0) process.stdout.write(`ci: failed: ${red.map((outcome) => outcome.script).join(', ')}\n`);
const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
process.exitCode = failed === 0 ? 0 : 1;
process.stdout.write(`${passed} passed, ${failed} failed\n`);
