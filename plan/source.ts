/** Reading what users write: YAML in, plain data out, with the line of every path kept for messages. */
import { readFileSync } from 'node:fs';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from 'yaml';
import type { Document, Node, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { InputProblem } from './errors.js';
import { InputError } from './errors.js';

/** A plan of 20,000 targets is about 3 MB; anything beyond this is not a file for us. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Enough for settings that thousands share; an alias bomb needs more. */
const MAX_ALIASES = 10_000;

/** A path into the data: `['spec', 'targets', 3, 'version']`. */
export type Path = readonly PropertyKey[];

/** One YAML document, as data and as places. */
export class Source {
  readonly file: string;
  readonly data: unknown;
  /** As it was written. */
  readonly text: string;
  /** What the files that it names hold, by name, where it was kept with them; `null`: they are read from the disk. */
  readonly kept: Readonly<Record<string, string>> | null;
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(
    { file, text, kept }: Pick<Source, 'file' | 'text' | 'kept'>,
    data: unknown,
    document: Document,
    lines: LineCounter,
  ) {
    this.file = file;
    this.text = text;
    this.kept = kept;
    this.data = data;
    this.#document = document;
    this.#lines = lines;
  }

  /** The 1-based line of a path: of its key, or of the nearest ancestor that is there. */
  line(path: Path): number {
    return this.#lines.linePos(this.#find(path).offset).line;
  }

  /** A scalar exactly as it was written (`1.10`, which as a number would be 1.1); `null` for anything else. */
  written(path: Path): string | null {
    const { node } = this.#find(path);
    return isScalar(node) && node.source !== undefined ? node.source : null;
  }

  problem(path: Path, message: string, remedy: string): InputProblem {
    return { file: this.file, line: this.line(path), path: formatPath(path), message, remedy };
  }

  #find(path: Path): { offset: number; node: unknown } {
    let node: unknown = this.#document.contents;
    let offset = startOf(node) ?? 0;
    for (const segment of path) {
      const here = isAlias(node) ? node.resolve(this.#document) : node;
      if (isMap(here)) {
        const pair = here.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment));
        if (pair === undefined) return { offset, node: undefined };
        offset = startOf(pair.key) ?? offset;
        node = pair.value;
      } else if (isSeq(here) && typeof segment === 'number' && segment < here.items.length) {
        node = here.items[segment];
        offset = startOf(node) ?? offset;
      } else {
        return { offset, node: undefined };
      }
    }
    return { offset, node };
  }
}

/** `spec.targets[3].version`; a key that would break the line is quoted. */
export function formatPath(path: Path): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else {
      const key = String(segment);
      text += `${text === '' ? '' : '.'}${/\p{C}/u.test(key) ? JSON.stringify(key) : key}`;
    }
  }
  return text;
}

/** @throws InputError when the file cannot be read or is not one well-formed YAML document. */
export function readSource(file: string): Source {
  let text: string;
  try {
    const bytes = readFileSync(file);
    if (bytes.length > MAX_BYTES) throw wholeFile(file, 'is larger than 16 MiB', 'split it into several files');
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw unreadable(file, error);
  }
  return parseSource(text, file);
}

/**
 * @param file as the user named it, for messages.
 * @param kept what the files that it names hold, where they are not on this machine
 * @throws InputError naming line and remedy. What the file holds is never quoted, since it may be a secret.
 */
export function parseSource(text: string, file: string, kept: Source['kept'] = null): Source {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const [document] = documents;
  if (!Array.isArray(documents) || document === undefined) {
    throw wholeFile(file, 'is empty', 'write the file first; examples/ has one to start from');
  }
  const at = (offset: number, message: string, remedy: string): InputProblem => ({
    file,
    line: lines.linePos(offset).line,
    path: '',
    message,
    remedy,
  });

  // One mistake makes the parser stumble over all that follows, so only the first counts; duplicate keys stand alone.
  const broken = document.errors.find((error) => error.code !== 'DUPLICATE_KEY');
  if (broken !== undefined) throw new InputError([at(broken.pos[0], ...syntaxWords(broken.code))]);
  if (document.errors.length > 0) {
    throw new InputError(document.errors.map((error) => at(error.pos[0], ...syntaxWords(error.code))));
  }
  const [warning] = document.warnings;
  if (warning !== undefined) throw new InputError([at(warning.pos[0], ...syntaxWords(warning.code))]);
  const second = documents[1];
  if (second !== undefined) {
    const [offset] = second.range;
    throw new InputError([at(offset, 'a second YAML document begins here', 'keep one document to a file')]);
  }

  const odd: InputProblem[] = [];
  // Kept on the way: the library looks for each through the whole document.
  const ends = new Map<string, number>();
  const anchored = (_: unknown, { anchor, range }: Scalar | YAMLMap | YAMLSeq) => {
    if (anchor !== undefined) ends.set(anchor, range?.[1] ?? 0);
  };
  visit(document, {
    Value: anchored,
    Pair: (_, pair) => {
      if (isScalar(pair.key) && pair.key.value !== null) return;
      odd.push(at(startOf(pair.key) ?? startOf(pair.value) ?? 0, 'a key is not plain text', 'use a plain word as key'));
    },
    Alias: (_, alias) => {
      const end = ends.get(alias.source);
      const [start] = alias.range ?? [0];
      if (end === undefined) {
        odd.push(at(start, 'an alias has no anchor before it', 'write `&name` at the first use, or write it out'));
      } else if (end > start) {
        odd.push(at(start, 'an alias stands inside its own anchor', 'write the value out'));
      }
    },
  });
  if (odd.length > 0) throw new InputError(odd);

  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw wholeFile(file, 'expands its aliases too often', 'write the values out instead of nesting aliases');
  }
  if (data === null || data === undefined) {
    throw wholeFile(file, 'is empty', 'write the file first; examples/ has one to start from');
  }
  return new Source({ file, text, kept }, data, document, lines);
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

function wholeFile(file: string, message: string, remedy: string): InputError {
  return new InputError([{ file, line: null, path: '', message, remedy }]);
}

function unreadable(file: string, error: unknown): InputError {
  if (error instanceof TypeError) return wholeFile(file, 'is not UTF-8 text', 'save it as UTF-8');
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return wholeFile(file, 'there is no such file', 'check the path');
    case 'EISDIR':
      return wholeFile(file, 'is a directory', 'name the file in it');
    case 'EACCES':
    case 'EPERM':
      return wholeFile(file, 'must not be read by this user', 'give yourself the right to read it');
    default:
      return wholeFile(file, `cannot be read: ${code ?? 'unknown error'}`, 'check the path and the disk');
  }
}

/** The parser's own messages quote the file; these do not. */
function syntaxWords(code: string): [message: string, remedy: string] {
  switch (code) {
    case 'DUPLICATE_KEY':
      return ['this key stands twice in the same map', 'keep one of the two'];
    case 'TAB_AS_INDENT':
      return ['a tab is used for indentation', 'indent with spaces'];
    case 'BAD_INDENT':
      return ['is not YAML: the indentation does not fit', 'align it with the lines around it'];
    case 'MISSING_CHAR':
      return ['is not YAML: a closing quote, bracket, comma or colon is missing', 'close what this line opens'];
    case 'BLOCK_AS_IMPLICIT_KEY':
      return ['is not YAML: a second `key:` on one line', 'put it on a line of its own, or the value in quotes'];
    case 'BAD_SCALAR_START':
      return ['is not YAML: a value begins with a reserved character', 'put the value in quotes'];
    case 'TAG_RESOLVE_FAILED':
      return ['a YAML tag (`!…`) that is not known', 'remove the tag'];
    case 'RESOURCE_EXHAUSTION':
      return ['is nested too deeply', 'flatten it'];
    default:
      return [`is not YAML: ${code.toLowerCase().replaceAll('_', ' ')}`, 'correct this line'];
  }
}
