/** Command lines that people are told to type: whole, so that nothing is missing when they do. */

/** One that asks why: `uplift resume spring-1a2b3c4d --reason …`. */
export function signedCommand(...words: readonly string[]): string {
  return `uplift ${words.join(' ')} --reason …`;
}

/** What a person ends an upgrade by, when evidence cannot. */
export function resolveCommand(resource: string): string {
  return signedCommand('resolve', resource, '--as', 'done|failed|not-submitted');
}
