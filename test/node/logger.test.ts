// One line of JSON an event.

import test from 'ava';
import { createLogger } from '#core/node/logger.ts';

test('createLogger: writes one JSON object a line, whatever is in the message', (t) => {
  const lines: string[] = [];
  const logger = createLogger({ node: 'n1', write: (line) => lines.push(line) });
  logger.log('warn', 'a "quoted"\nmessage', { peer: 'n2', count: 3, absent: undefined });
  t.is(lines.length, 1);
  t.is(lines[0]!.indexOf('\n'), lines[0]!.length - 1);
  t.deepEqual(JSON.parse(lines[0]!), {
    level: 'warn',
    message: 'a "quoted"\nmessage',
    node: 'n1',
    peer: 'n2',
    count: 3,
  });
  t.true(lines[0]!.startsWith('{"level":"warn","message":'));
});

test('createLogger: a field does not shadow level, message or node', (t) => {
  const lines: string[] = [];
  createLogger({ node: 'n1', write: (line) => lines.push(line) }).log('info', 'm', {
    level: 'x',
    message: 'y',
    node: 'z',
  });
  t.deepEqual(JSON.parse(lines[0]!), { level: 'info', message: 'm', node: 'n1' });
});

test('createLogger: levels below the least are not written', (t) => {
  const lines: string[] = [];
  const logger = createLogger({ node: 'n1', levelMin: 'warn', write: (line) => lines.push(line) });
  for (const level of ['debug', 'info', 'warn', 'error'] as const) logger.log(level, level);
  t.is(lines.length, 2);
});
