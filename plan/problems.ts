/** From a zod issue to one line that a user can act on. */
import { z } from 'zod';
import { nearest } from '../temporal/spelling.js';
import type { InputProblem } from './errors.js';
import type { Path, Source } from './source.js';

/**
 * Says what to do about a key that is not known, where that is more than picking another one.
 * `null`: the nearest known key is proposed.
 */
export type UnknownKeyRemedy = (key: string, path: Path) => { message: string; remedy: string } | null;

export interface Reading {
  /** `false` where a value may be a secret: messages then name the place only. */
  readonly quoteValues: boolean;
  readonly unknownKey?: UnknownKeyRemedy;
}

/**
 * Parses a source, or a part of it. Convention for all schemas here: a check's own `error` text is the *remedy*
 * (`use lower-case letters, …`); what is wrong is said from the issue itself.
 */
export function parseWith<T>(
  schema: z.ZodType<T>,
  source: Source,
  reading: Reading,
  part: { readonly data: unknown; readonly path: Path } = { data: source.data, path: [] },
): { data: T; problems: [] } | { data: null; problems: InputProblem[] } {
  const parsed = schema.safeParse(part.data, { reportInput: true, error: knownKeys });
  if (parsed.success) return { data: parsed.data, problems: [] };
  return { data: null, problems: parsed.error.issues.flatMap((issue) => explain(issue, source, part.path, reading)) };
}

/** `did you mean ges-v1? Known: ges-v1, ges-v2` */
export function suggest(word: string, known: readonly string[]): string {
  const list = known.length > 12 ? `${known.slice(0, 12).join(', ')}, …` : known.join(', ');
  const near = nearest(word, known);
  if (near === null) return known.length === 0 ? 'there is none yet' : `use one of: ${list}`;
  return known.length === 1 ? `did you mean ${near}?` : `did you mean ${near}? Known: ${list}`;
}

/** Carries the known keys to `explain`: an issue itself knows the unknown ones only. */
const knownKeys: z.core.$ZodErrorMap = (issue) =>
  issue.code === 'unrecognized_keys' && issue.inst instanceof z.ZodObject
    ? Object.keys(issue.inst.shape).join(' ')
    : undefined;

function explain(issue: z.core.$ZodIssue, source: Source, base: Path, reading: Reading): InputProblem[] {
  const path = [...base, ...issue.path];
  const one = (message: string, remedy: string): InputProblem[] => [source.problem(path, message, remedy)];
  const value = quote(issue.input, reading);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const own = reading.unknownKey?.(key, path);
        const { message, remedy } = own ?? {
          message: 'is not a known key',
          remedy: suggest(key, issue.message.split(' ')),
        };
        return source.problem([...path, key], message, remedy);
      });
    case 'invalid_type':
      if (issue.input === undefined) return one('is missing', `add it, as ${article(issue.expected)}`);
      if (issue.expected === 'string' && (typeof issue.input === 'number' || typeof issue.input === 'boolean')) {
        const written = source.written(path);
        const example = reading.quoteValues && written !== null ? `: "${written}"` : '';
        return one(`must be text, and without quotes it is a ${typeof issue.input}`, `put it in quotes${example}`);
      }
      return one(
        `must be ${article(issue.expected)}`,
        issue.expected === 'int' ? 'round it' : `it is ${kindOf(issue.input)} now`,
      );
    case 'invalid_union':
      if (issue.discriminator === undefined) return one(`${value} is not accepted`, issue.message);
      return discriminator(issue, issue.discriminator, one, reading);
    case 'invalid_value': {
      const known = issue.values.map(String);
      if (issue.input === undefined) return one('is missing', `add it: ${known.join(' or ')}`);
      const word = typeof issue.input === 'string' ? issue.input : '';
      return one(`${value} is not accepted`, known.length === 1 ? `write ${known[0]}` : suggest(word, known));
    }
    case 'invalid_format':
      return one(`${value} does not have the right form`, issue.message);
    case 'too_small':
      if (issue.origin === 'string' || issue.origin === 'array') return one('is empty', 'give at least one');
      return one(
        `must be ${issue.inclusive === true ? 'at least' : 'more than'} ${issue.minimum}`,
        'use a larger number',
      );
    case 'too_big':
      if (issue.origin === 'string') return one(`is longer than ${issue.maximum} characters`, 'shorten it');
      if (issue.origin === 'array') return one(`has more than ${issue.maximum} entries`, 'put some of them together');
      return one(
        `must be ${issue.inclusive === true ? 'at most' : 'less than'} ${issue.maximum}`,
        'use a smaller number',
      );
    case 'invalid_key':
      return one('is not a usable name', issue.issues[0]?.message ?? 'use another name');
    case 'custom': {
      const remedy: unknown = issue.params?.['remedy'];
      return one(issue.message, typeof remedy === 'string' ? remedy : 'correct it, or remove it');
    }
    default:
      return one(`${value} is not accepted`, issue.message);
  }
}

function discriminator(
  issue: z.core.$ZodIssue,
  key: string,
  one: (message: string, remedy: string) => InputProblem[],
  reading: Reading,
): InputProblem[] {
  const { input } = issue;
  const given = typeof input === 'object' && input !== null ? (input as Record<string, unknown>)[key] : undefined;
  const known = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];
  if (given === undefined) return one('is missing', `add it: ${known.join(', ')}`);
  return one(`${quote(given, reading)} is not a known ${key}`, suggest(typeof given === 'string' ? given : '', known));
}

function quote(value: unknown, reading: Reading): string {
  if (!reading.quoteValues) return 'its value';
  if (typeof value === 'object' && value !== null) return kindOf(value);
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}…"` : text;
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a map' : article(typeof value);
}

function article(expected: string): string {
  switch (expected) {
    case 'string':
      return 'text';
    case 'object':
    case 'record':
      return 'a map';
    case 'array':
      return 'a list';
    case 'int':
      return 'a whole number';
    case 'boolean':
      return 'true or false';
    default:
      return `a ${expected}`;
  }
}
