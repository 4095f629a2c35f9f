/**
 * What this process holds in secret. Whoever makes a credential keeps it here; whatever leaves the process (payloads and
 * failures for Temporal, logs, output) is scrubbed of all of it on its way out, wherever it came from.
 */
import { LRUCache } from 'lru-cache';

/** A shorter one would blank out ordinary words and numbers; the clouds' own answers are redacted of those as well. */
const SHORTEST = 8;
/** So many first characters tell a secret from nearly all other text. */
const START = SHORTEST;
/** Characters of the passing ones, in all spellings: a day's tokens of a thousand accounts fit in. */
const MOST = 32_000_000;

const lasting = new Set<string>();
/** Such as end by themselves, and are replaced by the thousand; with their spellings. */
const passing = new LRUCache<string, readonly string[]>({
  maxSize: MOST,
  sizeCalculation: (spellings) => spellings.reduce((sum, { length }) => sum + length, 0),
  dispose: (spellings) => {
    spellings.forEach(remove);
  },
});
/** All spellings by their first characters: a pattern of whole tokens takes seconds to make, and longer than a call to match. */
const byStart = new Map<string, readonly string[]>();
let starts: RegExp | null = null;

/** Keeps what a person has written down, for as long as the process lives. */
export function keepSecret(text: string): void {
  if (text.length < SHORTEST || lasting.has(text)) return;
  spellingsOf(text).forEach(add);
  lasting.add(text);
}

/** Keeps a token or a temporary key; said again at each use, since those that were not used for longest are forgotten in the end. */
export function keepPassingSecret(text: string): void {
  if (text.length < SHORTEST || passing.get(text) !== undefined) return;
  const spellings = spellingsOf(text);
  spellings.forEach(add);
  passing.set(text, spellings);
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

function spellingsOf(text: string): readonly string[] {
  const quoted = (plain: string) => JSON.stringify(plain).slice(1, -1);
  return [...new Set([text, encodeURIComponent(text), quoted(text), quoted(quoted(text))])];
}

function add(spelling: string): void {
  const start = spelling.slice(0, START);
  const others = byStart.get(start);
  if (others === undefined) starts = null;
  // The longest first: one secret may be a part of another.
  const all = [...(others ?? []), spelling].sort((a, b) => b.length - a.length);
  byStart.set(start, all);
}

/** Once: another secret may be spelled alike. */
function remove(spelling: string): void {
  const start = spelling.slice(0, START);
  const spellings = byStart.get(start) ?? [];
  const others = spellings.toSpliced(spellings.indexOf(spelling), 1);
  if (others.length === 0) byStart.delete(start);
  else byStart.set(start, others);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
