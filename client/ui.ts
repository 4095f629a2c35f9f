/** Where the Temporal UI shows a rollout. */
import type { ServerTarget } from '../temporal/connection.js';
import type { StartedRollout } from './rollouts.js';

const PROBE_MS = 700;
/** The dev server's UI listens this far above its gRPC port unless told otherwise. */
const DEV_UI_OFFSET = 1_000;

/**
 * The UI's base URL: `UPLIFT_UI` if set; Temporal Cloud's; or what answers where a local dev server has it. `null`
 * when it is not known: no address is better than a wrong one.
 */
export async function uiBase({ address }: ServerTarget, env: NodeJS.ProcessEnv): Promise<string | null> {
  if (env['UPLIFT_UI']) return env['UPLIFT_UI'].replace(/\/+$/, '');
  if (/\.(tmprl\.cloud|api\.temporal\.io)(:\d+)?$/.test(address)) return 'https://cloud.temporal.io';
  const [host = '', port = ''] = address.split(':');
  if (host !== '127.0.0.1' && host !== 'localhost') return null;
  const url = `http://${host}:${Number(port) + DEV_UI_OFFSET}`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PROBE_MS) });
    await answer.body?.cancel();
    return url;
  } catch {
    return null;
  }
}

/** A rollout's own page. */
export function rolloutPage(
  base: string,
  namespace: string,
  { workflowId, runId }: Pick<StartedRollout, 'workflowId' | 'runId'>,
): string {
  return `${base}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}/${runId}/history`;
}
