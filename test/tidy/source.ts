// What the tidy tests know of the sources: which files there are, and a small scanner that tells
// code from comments and strings. No compiler API: TypeScript's is not stable, and these rules need
// only tokens.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of the repository; `path` is relative to its root, with slashes. */
export type Source = { path: string; text: string };

/** A breach of a rule, ready to print. Lines count from 1. */
export type Breach = string;

/** An import or a re-export with a source, in any of its forms. */
export type Import = {
  /** The module as written; null when it is computed and so cannot be checked. */
  specifier: string | null;
  /** Whether it vanishes when types are stripped (`import type`, `export type`, `typeof import()`). */
  typeOnly: boolean;
  line: number;
};

const root = join(import.meta.dirname, '..', '..');

/** The paths of all files that are tracked or about to be (neither ignored nor deleted). */
export function repositoryPaths(): string[] {
  // safe.directory: a clone made by another user than the one who runs the tests is no danger here.
  const listed = execFileSync(
    'git',
    ['-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  const paths = [...new Set(listed.split('\0').filter((path) => path !== ''))];
  return paths.filter((path) => existsSync(join(root, path))).sort();
}

/** One file of the repository, read as UTF-8. */
export function readSource(path: string): Source {
  return { path, text: readFileSync(join(root, path), 'utf8') };
}

/** All .ts files under the given top folders; a folder that does not exist has none. */
export function typeScriptSources(...folders: string[]): Source[] {
  return repositoryPaths()
    .filter((path) => path.endsWith('.ts') && folders.some((folder) => path.startsWith(`${folder}/`)))
    .map(readSource);
}

/** The line, from 1, of a position in a text. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/** A slash after one of these opens a regular expression; after anything else it divides. */
const beforeRegExp =
  /(?:[([{,;=:?!&|^~+\-*%<>]|\b(?:return|typeof|case|in|of|do|else|void|delete|yield|await))$/;

/**
 * The text with every comment and the inside of every string, template and regular expression turned
 * to spaces, so that positions and lines stay and a search finds code only. What stands in a
 * template's `${…}` is code.
 */
export function codeOnly(text: string): string {
  let code = '';
  let at = 0;
  // For each template that is open around `at`: how many braces are open inside its ${…}.
  const templates: number[] = [];

  const blank = (end: number): void => {
    code += text.slice(at, end).replace(/[^\n]/g, ' ');
    at = end;
  };
  const keep = (length: number): void => {
    code += text.slice(at, at + length);
    at += length;
  };
  /** Blanks up to the end of a quoted thing and keeps its last sign; stops at ${ in a template. */
  const quoted = (close: string): void => {
    let end = at;
    let inClass = false;
    while (end < text.length) {
      const sign = text[end];
      if (sign === '\\') end += 1;
      else if (close === '/' && (sign === '[' || sign === ']')) inClass = sign === '[';
      else if (sign === close && !inClass) break;
      else if (close === '`' && sign === '$' && text[end + 1] === '{') break;
      else if (close !== '`' && sign === '\n') break;
      end += 1;
    }
    blank(Math.min(end, text.length));
    if (close === '`' && text[at] === '$') {
      templates.push(0);
      keep(2);
    } else {
      keep(1);
    }
  };

  while (at < text.length) {
    const sign = text[at] as string;
    if (text.startsWith('//', at) || (at === 0 && text.startsWith('#!'))) {
      const end = text.indexOf('\n', at);
      blank(end === -1 ? text.length : end);
    } else if (text.startsWith('/*', at)) {
      const end = text.indexOf('*/', at + 2);
      blank(end === -1 ? text.length : end + 2);
    } else if (sign === "'" || sign === '"' || sign === '`') {
      keep(1);
      quoted(sign);
    } else if (sign === '/' && (beforeRegExp.test(code.trimEnd()) || code.trim() === '')) {
      keep(1);
      quoted('/');
    } else if (sign === '}' && templates.at(-1) === 0) {
      templates.pop();
      keep(1);
      quoted('`');
    } else {
      if (templates.length > 0 && sign === '{') templates[templates.length - 1]! += 1;
      if (templates.length > 0 && sign === '}') templates[templates.length - 1]! -= 1;
      keep(1);
    }
  }
  return code;
}

const importForms: { pattern: RegExp; typeOnly: (match: RegExpExecArray) => boolean }[] = [
  // import a, { b } from '…', import type …, export * from '…', export type { … } from '…'
  {
    pattern: /(?<![.\w$])(?:import|export)\s+(type\b(?!\s*(?:,|from\b)))?[\w$*{},\s]*?\bfrom\s*(?=['"])/g,
    typeOnly: (match) => match[1] !== undefined,
  },
  // import '…'
  { pattern: /(?<![.\w$])import\s*(?=['"])/g, typeOnly: () => false },
  // import('…'), typeof import('…')
  {
    pattern: /(typeof\s+)?(?<![.\w$])import\s*\(\s*/g,
    typeOnly: (match) => match[1] !== undefined,
  },
  // require('…')
  { pattern: /(?<![.\w$])require\s*\(\s*/g, typeOnly: () => false },
];

/** Every import of a text, in the order of its forms. */
export function importsOf(text: string): Import[] {
  const code = codeOnly(text);
  const found: Import[] = [];
  for (const { pattern, typeOnly } of importForms) {
    for (const match of code.matchAll(pattern)) {
      const start = match.index + match[0].length;
      const quote = code[start] as string;
      const end = code.indexOf(quote, start + 1);
      const literal = (quote === "'" || quote === '"') && end !== -1;
      found.push({
        specifier: literal ? text.slice(start + 1, end) : null,
        typeOnly: typeOnly(match),
        line: lineAt(text, match.index),
      });
    }
  }
  return found;
}
