/** A plan's identity: the same content gives the same digest, however it is written. */
import { createHash } from 'node:crypto';
import type { Json } from '../workflows/contracts/json.js';

/** JSON with sorted keys and no white space; fields without a value are left out, as JSON leaves them out. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.entries(value)
    .filter((entry): entry is [string, Json] => entry[1] !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`);
  return `{${fields.join(',')}}`;
}

/** SHA-256 of the canonical JSON, in hex. */
export function digest(value: Json): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** The id that `uplift status` takes: `spring-1a2b3c4d`. The same plan has the same id, so it is never started twice. */
export function rolloutId(plan: { readonly name: string; readonly digest: string }): string {
  return `${plan.name}-${plan.digest.slice(0, 8)}`;
}
