// How ava finds and runs the tests. A file's name says its tier: *.test.ts is quick and runs all
// the time, *.soak.ts is long, *.system.ts needs root and touches the machine.

const tier = process.env.BRAMBLE_TEST_TIER ?? 'test';

export default {
  // An array, not an object: Node strips the types itself, so ava needs no loader for .ts.
  extensions: ['ts'],
  files: [`test/**/*.${tier}.ts`],
  // Counted from the last result of any test; ava's own 10 s would cut one that is merely quiet.
  timeout: tier === 'test' ? '2m' : '10m',
  // System tests share the machine's network and processes, so they take turns.
  concurrency: tier === 'system' ? 1 : 2,
};
