/** Many secrets, long ones, such as begin alike or lie within each other; and which of too many are forgotten. */
import fc from 'fast-check';
import { beforeEach, expect, it, vi } from 'vitest';
import type * as Secrets from '../../activities/secrets.js';
import { seeded } from '../support/properties.js';

let secrets: typeof Secrets;

/** It remembers for as long as its process lives. */
async function anew(): Promise<void> {
  vi.resetModules();
  secrets = await import('../../activities/secrets.js');
}

beforeEach(anew);

/** From the left, the longest at each place. */
function plainly(text: string, known: readonly string[]): string {
  const longest = known.toSorted((a, b) => b.length - a.length);
  let clean = '';
  for (let at = 0; at < text.length;) {
    const secret = longest.find((one) => text.startsWith(one, at));
    clean += secret === undefined ? text[at] : '***';
    at += secret?.length ?? 1;
  }
  return clean;
}

it('finds each of them wherever it begins, and nothing else', async () => {
  const tail = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 5 });
  const secret = fc.tuple(fc.constantFrom('abababab', 'aaaaaaab', 'bbabbabb'), tail).map(([head, rest]) => head + rest);
  const some = fc.array(secret, { maxLength: 6 });
  const pieces = fc.array(fc.tuple(fc.nat(5), fc.nat(14), fc.constantFrom('', 'a', 'b', ' ')), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(some, pieces, async (known, cuts) => {
      await anew();
      known.forEach((one, at) => {
        if (at % 2 === 0) secrets.keepSecret(one);
        else secrets.keepPassingSecret(one);
      });
      const text = cuts.map(([which, length, more]) => (known[which] ?? '').slice(0, length) + more).join('');
      expect(secrets.scrub(text)).toBe(plainly(text, known));
    }),
    seeded(500),
  );
});

it('finds those that come later as well, whatever they begin with', () => {
  secrets.keepSecret('the first one');
  expect(secrets.scrub('the first one, a+(b.[c\\d^$')).toBe('***, a+(b.[c\\d^$');
  secrets.keepSecret('a+(b.[c\\d^$');
  secrets.keepPassingSecret('(token)?');
  expect(secrets.scrub('the first one, a+(b.[c\\d^$, (token)?')).toBe('***, ***, ***');
});

/** As long as IAM's, which all begin alike. */
function token(number: number, characters = 6_000): string {
  return `MIIQYJKoZIhvcNAQcC${String(number).padStart(8, '0')}${'+aZ9bY8cX7/dW6eV5fU4'.repeat(characters / 20)}`;
}

it('finds one of thousands of tokens, in a URL as well', () => {
  for (let number = 0; number < 1_500; number += 1) secrets.keepPassingSecret(token(number));
  const url = `https://x.example/?token=${encodeURIComponent(token(1_234))}`;
  expect(secrets.scrub(`${token(1_499)} and ${url}`)).toBe('*** and https://x.example/?token=***');
  expect(secrets.scrub(token(1_500))).toBe(token(1_500));
});

it('forgets passing ones that were not used for longest, once there are too many, and no other', () => {
  secrets.keepSecret('a-key-that-a-person-wrote');
  secrets.keepPassingSecret('a-key-that-is-used-all-the-while');
  secrets.keepPassingSecret('a-key-of-long-ago');
  // As a passing one is spelled in a URL.
  const alike = encodeURIComponent(token(0, 500_000));
  secrets.keepSecret(alike);
  for (let number = 0; number < 80; number += 1) {
    secrets.keepPassingSecret(token(number, 500_000));
    expect(secrets.scrub('a-key-that-is-used-all-the-while')).toBe('***');
    secrets.keepPassingSecret('a-key-that-is-used-all-the-while');
  }
  const text = `a-key-that-a-person-wrote a-key-that-is-used-all-the-while a-key-of-long-ago ${token(79, 500_000)}`;
  expect(secrets.scrub(text)).toBe('*** *** a-key-of-long-ago ***');
  expect(secrets.scrub(token(0, 500_000))).toBe(token(0, 500_000));
  expect(secrets.scrub(alike)).toBe('***');
});
