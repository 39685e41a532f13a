/** Key files on the disk: mode 0600, made whole or not at all, never overwritten. */

import { closeSync, fsyncSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { formatKeyFile, type Key, parseKeyFile } from '../wire/keys.ts';
import { badConfiguration, wrongUsage } from './exit.ts';

/** Throws bad configuration if the file cannot be read or holds no key. */
export function readKeyFile(path: string): Key {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw badConfiguration(`Cannot read the key file ${path}: ${(error as Error).message}`);
  }
  const key = parseKeyFile(text);
  if (typeof key === 'string') throw badConfiguration(`Cannot use the key file ${path}: ${key}`);
  return key;
}

/** Throws wrong usage if there is already something of that name, or it cannot be made. */
export function writeKeyFile(path: string, key: Key): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx', 0o600);
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const problem = exists
      ? 'it is there already, and keys are never overwritten; name another file, or move that one away'
      : (error as Error).message;
    throw wrongUsage(`Cannot make the key file ${path}: ${problem}`);
  }
  try {
    writeSync(descriptor, formatKeyFile(key));
    fsyncSync(descriptor);
  } catch (error) {
    unlinkSync(path);
    throw wrongUsage(`Cannot write the key file ${path}: ${(error as Error).message}`);
  } finally {
    closeSync(descriptor);
  }
}
