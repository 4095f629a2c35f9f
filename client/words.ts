/** What people say, as an option's value. */
import { InvalidArgumentError } from 'commander';

/** More would make what keeps it large, and fit on no line. */
const LONGEST_REASON = 300;

/** For commander: one line. */
export function reasonWords(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  if (line === '') throw new InvalidArgumentError('Say why.');
  if (line.length > LONGEST_REASON) throw new InvalidArgumentError(`Say it in ${LONGEST_REASON} characters.`);
  return line;
}

/** For commander: a digest, or enough of its beginning. */
export function parseDigest(text: string): string {
  if (!/^[0-9a-f]{8,64}$/.test(text))
    throw new InvalidArgumentError('Use at least 8 digits of the digest that `uplift plan` showed.');
  return text;
}
