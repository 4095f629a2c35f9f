/**
 * What this process holds in secret. Whoever makes a credential keeps it here; whatever leaves the process (payloads and
 * failures for Temporal, logs, output) is scrubbed of all of it on its way out, wherever it came from.
 */

/** A shorter one would blank out ordinary words and numbers; the clouds' own answers are redacted of those as well. */
const SHORTEST = 8;
/** Characters, of all spellings: tokens come and go, with thousands each. A day's tokens of a thousand accounts fit in. */
const MOST = 32_000_000;

/** With their spellings, the one used last at the end. */
const held = new Map<string, readonly string[]>();
/** All spellings by their first characters: a pattern of whole tokens takes seconds to make, and longer than a call to match. */
const byStart = new Map<string, readonly string[]>();
let characters = 0;
let starts: RegExp | null = null;

/** Said again at each use: where there are too many, those that were not used for longest are forgotten, long after their end. */
export function keepSecret(text: string): void {
  if (text.length < SHORTEST) return;
  const known = held.get(text);
  held.delete(text);
  held.set(text, known ?? spell(text));
  for (const [oldest, spellings] of held) {
    if (characters <= MOST) return;
    held.delete(oldest);
    spellings.forEach(unspell);
  }
}

/** `text` with `***` in place of every secret, as it is, as in a URL, as in JSON and as in JSON that JSON quotes. */
export function scrub(text: string): string {
  starts ??= new RegExp([...byStart.keys()].map(escaped).join('|') || '(?!)', 'g');
  starts.lastIndex = 0;
  let clean = '';
  let from = 0;
  for (let at = starts.exec(text); at !== null; at = starts.exec(text)) {
    const { index } = at;
    const secret = byStart.get(at[0])?.find((one) => text.startsWith(one, index));
    starts.lastIndex = index + (secret?.length ?? 1);
    if (secret === undefined) continue;
    clean += `${text.slice(from, index)}***`;
    from = starts.lastIndex;
  }
  return clean + text.slice(from);
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

function spell(text: string): readonly string[] {
  const quoted = (plain: string) => JSON.stringify(plain).slice(1, -1);
  const spellings = [...new Set([text, encodeURIComponent(text), quoted(text), quoted(quoted(text))])];
  for (const one of spellings) {
    const start = one.slice(0, SHORTEST);
    const others = byStart.get(start);
    if (others === undefined) starts = null;
    // The longest first: one secret may be a part of another.
    const all = [...(others ?? []), one].sort((a, b) => b.length - a.length);
    byStart.set(start, all);
    characters += one.length;
  }
  return spellings;
}

function unspell(one: string): void {
  const start = one.slice(0, SHORTEST);
  const spellings = byStart.get(start) ?? [];
  const others = spellings.toSpliced(spellings.indexOf(one), 1);
  if (others.length === 0) byStart.delete(start);
  else byStart.set(start, others);
  characters -= one.length;
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
