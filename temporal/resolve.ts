/** Where Temporal comes from: one order for the CLI, the demo and the tests. */
import { findServerBinary } from './binary.js';
import type { BinaryOptions, ServerBinary } from './binary.js';
import { configuredTarget } from './connection.js';
import type { ServerTarget } from './connection.js';

export type TemporalSource =
  | { readonly kind: 'server'; readonly target: ServerTarget }
  | { readonly kind: 'embedded'; readonly binary: ServerBinary };

/**
 * The server that `TEMPORAL_ADDRESS` or a profile names; without one, the program of an embedded server to start by
 * `startDevServer`.
 *
 * @throws TemporalSetupError
 */
export async function resolveTemporal(options: BinaryOptions): Promise<TemporalSource> {
  const target = configuredTarget(options.env);
  if (target !== null) return { kind: 'server', target };
  return { kind: 'embedded', binary: await findServerBinary(options) };
}
