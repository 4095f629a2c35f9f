/**
 * What this process holds in secret. Whoever makes a credential keeps it here; whatever leaves the process (payloads and
 * failures for Temporal, logs, output) is scrubbed of all of it on its way out, wherever it came from.
 */

/** A shorter one would blank out ordinary words and numbers; the clouds' own answers are redacted of those as well. */
const SHORTEST = 8;
/** Tokens come and go: the oldest are forgotten long after their end. */
const MOST = 10_000;

const held = new Set<string>();
let pattern: RegExp | null = null;

export function keepSecret(text: string): void {
  if (text.length < SHORTEST || held.has(text)) return;
  if (held.size >= MOST) held.delete(held.values().next().value ?? '');
  held.add(text);
  pattern = null;
}

/** `text` with `***` in place of every secret, as it is, as in a URL, as in JSON and as in JSON that JSON quotes. */
export function scrub(text: string): string {
  pattern ??= new RegExp(spellings().map(escaped).join('|') || '(?!)', 'g');
  return text.replace(pattern, '***');
}

/** An error's message, stack and causes, scrubbed in place, so that it stays what it is. */
export function scrubError(error: unknown): unknown {
  if (typeof error === 'string') return scrub(error);
  const seen = new Set<unknown>();
  for (let inner = error; inner instanceof Error && !seen.has(inner); inner = inner.cause) {
    seen.add(inner);
    for (const name of ['message', 'stack'] as const) {
      const value = scrub(inner[name] ?? '');
      if (value !== inner[name]) Object.defineProperty(inner, name, { value, configurable: true, writable: true });
    }
    if (typeof inner.cause === 'string') inner.cause = scrub(inner.cause);
  }
  return error;
}

/** The longest first: one secret may be a part of another. */
function spellings(): string[] {
  const quoted = (text: string) => JSON.stringify(text).slice(1, -1);
  const all = [...held].flatMap((text) => [text, encodeURIComponent(text), quoted(text), quoted(quoted(text))]);
  return [...new Set(all)].sort((a, b) => b.length - a.length);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
