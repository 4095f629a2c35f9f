/** What people say, as an option's value. */
import { InvalidArgumentError } from 'commander';
import { LONGEST_WORDS, plainWords } from '../workflows/contracts/control.js';

/** For commander: one line without control characters; that it is not empty is asked of every option. */
export function reasonWords(text: string): string {
  const line = plainWords(text);
  if (line.length > LONGEST_WORDS) throw new InvalidArgumentError(`Say it in ${LONGEST_WORDS} characters.`);
  return line;
}

/** For commander: a digest, or enough of its beginning. */
export function parseDigest(text: string): string {
  if (!/^[0-9a-f]{8,64}$/.test(text))
    throw new InvalidArgumentError('Use at least 8 digits of the digest that `uplift plan` showed.');
  return text;
}
