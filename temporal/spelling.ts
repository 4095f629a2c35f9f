/** Which known word somebody may have meant. */

/** The known word that is the fewest edits away, a third of the word's length at most; `null` when none is. */
export function nearest(word: string, known: readonly string[]): string | null {
  return within(Math.max(2, Math.floor(word.length / 3)), word, known);
}

/**
 * The variable that `name` may be a misspelling of, or parts of; `null` for a known one, and for one that is like
 * none: it is somebody else's. What tells variables apart stands behind the first `_`, so the two parts are compared alone.
 *
 * @param known all of one prefix, as `TEMPORAL_…`
 */
export function misspelt(name: string, known: readonly string[]): string | null {
  if (known.includes(name)) return null;
  const [prefix, rest] = atUnderscore(name);
  const [own] = atUnderscore(known[0] ?? '');
  const rests = known.map((one) => atUnderscore(one)[1]);
  const isOurs = prefix === own;
  // Two edits away there are other products.
  if (!isOurs && within(1, prefix, [own]) === null) return null;
  // Two words as short as `UI` and `AK` are always near each other.
  const isLong = isOurs && /^\w{4,}$/.test(rest);
  const meant = isLong
    ? (within(2, rest, rests) ?? rests.find((one) => partsOf(rest).test(one)))
    : within(0, rest, rests);
  return meant === undefined || meant === null ? null : `${own}_${meant}`;
}

/** `ADDR` of `ADDRESS`; `TLS_CA_CERT_PATH` of one with `SERVER` in between. */
function partsOf(words: string): RegExp {
  return new RegExp(`^${words.split('_').join('.*_')}`, 'i');
}

function atUnderscore(name: string): readonly [prefix: string, rest: string] {
  const [prefix = '', ...rest] = name.split('_');
  return [prefix, rest.join('_')];
}

function within(most: number, word: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let least = most + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance, where two letters that changed places are one edit. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isExchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const exchanged = isExchanged ? (before[j - 2] ?? 0) + 1 : Infinity;
      next.push(Math.min(replaced, exchanged, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
