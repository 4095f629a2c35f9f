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
  const some = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 8, maxLength: 14 }), { maxLength: 6 });
  const pieces = fc.array(fc.tuple(fc.nat(5), fc.nat(14), fc.constantFrom('', 'a', 'b', ' ')), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(some, pieces, async (known, cuts) => {
      await anew();
      known.forEach(secrets.keepSecret);
      const text = cuts.map(([which, length, more]) => (known[which] ?? '').slice(0, length) + more).join('');
      expect(secrets.scrub(text)).toBe(plainly(text, known));
    }),
    seeded(500),
  );
});

/** As long as IAM's, which all begin alike. */
function token(number: number, characters = 6_000): string {
  return `MIIQYJKoZIhvcNAQcC${String(number).padStart(8, '0')}${'+/aZ9'.repeat(characters / 5)}`;
}

it('finds one of thousands of tokens, in a URL as well', () => {
  for (let number = 0; number < 2_000; number += 1) secrets.keepSecret(token(number));
  const url = `https://x.example/?token=${encodeURIComponent(token(1_234))}`;
  expect(secrets.scrub(`${token(1_999)} and ${url}`)).toBe('*** and https://x.example/?token=***');
  expect(secrets.scrub(token(2_000))).toBe(token(2_000));
});

it('forgets those that were not used for longest, once there are too many', () => {
  const key = 'a-key-that-is-used-all-the-while';
  secrets.keepSecret(key);
  secrets.keepSecret('a-key-of-long-ago');
  for (let number = 0; number < 40; number += 1) {
    secrets.keepSecret(token(number, 500_000));
    secrets.keepSecret(key);
  }
  expect(secrets.scrub(`${key}, a-key-of-long-ago, ${token(39, 500_000)}`)).toBe('***, a-key-of-long-ago, ***');
});
