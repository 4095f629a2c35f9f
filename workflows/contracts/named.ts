/** Ids in a sentence, which holds few of thousands. */

/** `a, b, c and 4 more` */
export function named(ids: readonly string[], most = 3): string {
  const more = ids.length > most ? ` and ${ids.length - most} more` : '';
  return `${ids.slice(0, most).join(', ')}${more}`;
}
