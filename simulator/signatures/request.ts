/** What both signature algorithms look at. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { SimulatedCredentials } from '../model.js';

export interface SignedRequest {
  readonly method: string;
  /** As it came, still encoded, without the query. */
  readonly path: string;
  /** As it came, without the `?`. */
  readonly query: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export type Verdict =
  | { readonly ok: true; readonly credentials: SimulatedCredentials }
  | { readonly ok: false; readonly status: number; readonly code: string; readonly message: string };

/** Percent-encodes all but RFC 3986's unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** @throws URIError for a malformed escape */
export function canonicalPath(path: string): string {
  return path
    .split('/')
    .map((segment) => encode(decodeURIComponent(segment)))
    .join('/');
}

/**
 * Sorted by name and then value, `name=` for an empty value.
 * @throws URIError for a malformed escape
 */
export function canonicalQuery(query: string): string {
  return queryPairs(query)
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .toSorted(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** The decoded pairs of a query; a `+` is a plus. */
export function queryPairs(query: string): [name: string, value: string][] {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const at = pair.indexOf('=');
      const [name, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
      return [decodeURIComponent(name), decodeURIComponent(value)];
    });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Compares without telling by its duration how much was right. */
export function sameSecret(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
