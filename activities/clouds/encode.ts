/** Percent-encoding as both clouds sign it: RFC 3986, where `encodeURIComponent` leaves five characters alone. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * A path from decoded segments.
 *
 * @throws RangeError for a segment that would lead elsewhere: empty, `.` or `..`.
 */
export function encodePath(segments: readonly string[]): string {
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..') {
      throw new RangeError(`"${segment}" cannot be a part of the path /${segments.join('/')}`);
    }
  }
  return `/${segments.map(encode).join('/')}`;
}

/** A query in the order that both clouds sign it in: by decoded name. What is `undefined` is left out. */
export function encodeQuery(query: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(query)
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join('&');
}
