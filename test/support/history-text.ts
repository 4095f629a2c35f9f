/** A history as text with its payloads readable: as JSON they are base64, in which no search finds anything. */
export function historyText(history: unknown): string {
  return JSON.stringify(history, (key, value: unknown) =>
    key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString() : value,
  );
}
