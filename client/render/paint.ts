/** Colours, or none: every render function takes them as an argument, so that its text can be tested as it is. */
import pc from 'picocolors';

export type Paint = ReturnType<typeof pc.createColors>;

export const plain: Paint = pc.createColors(false);

/**
 * Colours for one stream. `NO_COLOR` (any value but an empty one) turns them off everywhere, `FORCE_COLOR` turns them
 * on where there is no terminal.
 */
export function paintFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): Paint {
  if (env['NO_COLOR']) return plain;
  if (env['FORCE_COLOR'] && env['FORCE_COLOR'] !== '0') return pc.createColors(true);
  return pc.createColors(stream.isTTY === true && env['TERM'] !== 'dumb');
}
