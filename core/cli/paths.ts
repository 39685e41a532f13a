/**
 * Where relative paths begin. npm runs a script in the package's own folder and puts the folder in which it was called into
 * INIT_CWD; people mean the latter. A child gets no INIT_CWD from us: there it would be a folder that nobody is in.
 */

import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';

export function startFolder(environment: Readonly<Record<string, string | undefined>>): string {
  const called = environment.INIT_CWD ?? '';
  if (called !== '' && statSync(called, { throwIfNoEntry: false })?.isDirectory() === true) return called;
  return process.cwd();
}

export function fromFolder(folder: string, path: string): string {
  return resolve(folder, path);
}

export function readTextFile(folder: string, path: string): string {
  return readFileSync(resolve(folder, path), 'utf8');
}
