/** Key files on disk: text (wire/keys.ts) that only its owner may read, never written over an existing file. */

import { open, readFile, unlink } from 'node:fs/promises';
import { formatKeyFile, type Key, type KeyRole, parseKeyFile } from '../wire/keys.ts';

/** A key file that cannot be used; the message says which, why, and what to do. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
}

/** A key file has about 200 bytes; whatever is larger is something else. */
const KEY_FILE_BYTES_MAX = 4_096;

/** Writes a new file of mode 0600. Throws KeyFileError if it exists already or cannot be written. */
export async function writeKeyFile(path: string, key: Key): Promise<void> {
  // `wx` fails on whatever is there, a dangling link too, so nobody else chose where the key goes.
  const file = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') {
      throw new KeyFileError(`Cannot write key file ${path}: it exists; remove it or choose another name`);
    }
    throw new KeyFileError(`Cannot write key file ${path}: ${error.message}`, { cause: error });
  });
  try {
    // The mode given to open is cut by the process's umask; this one is exact.
    await file.chmod(0o600);
    await file.writeFile(formatKeyFile(key));
    await file.sync();
  } catch (error) {
    await unlink(path).catch(() => {});
    throw new KeyFileError(`Cannot write key file ${path}: ${(error as Error).message}`, { cause: error });
  } finally {
    await file.close();
  }
}

export interface ReadKey {
  readonly key: Key;
  /** What is not as it should be although the key can be used; to be shown to a person. */
  readonly warnings: readonly string[];
}

/** Reads a key whose role is one of `roles`. Throws KeyFileError otherwise. */
export async function readKeyFile(path: string, roles: readonly KeyRole[]): Promise<ReadKey> {
  const { text, mode } = await readText(path);
  const key = parseKeyFile(text);
  if (typeof key === 'string') throw new KeyFileError(`Cannot use key file ${path}: ${key}`);
  if (!roles.includes(key.role)) {
    throw new KeyFileError(
      `Cannot use key file ${path}: it holds a key of role ${key.role}, where ${roles.join(' or ')} is needed`,
    );
  }
  const others = mode & 0o077;
  const warnings =
    others === 0
      ? []
      : [`key file ${path} has mode 0${mode.toString(8)}, so others can read it: run chmod 600 ${path}`];
  return { key, warnings };
}

async function readText(path: string): Promise<{ text: string; mode: number }> {
  try {
    const file = await open(path, 'r');
    try {
      const status = await file.stat();
      const { mode, size } = status;
      if (!status.isFile()) throw new KeyFileError(`Cannot use key file ${path}: it is not a file`);
      if (size > KEY_FILE_BYTES_MAX) {
        throw new KeyFileError(`Cannot use key file ${path}: not a bramble key file, it has ${size} bytes`);
      }
      return { text: await readFile(file, 'utf8'), mode: mode & 0o777 };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof KeyFileError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const what = code === 'ENOENT' ? 'there is no such file; make one with `bramble key new`' : message;
    throw new KeyFileError(`Cannot read key file ${path}: ${what}`, { cause: error });
  }
}
