/** An HTTP probe: one plain GET, over a connection of its own. Neither headers nor body of the answer are told. */
import type { HttpProbe } from '../workflows/contracts/soak.js';
import { type Transport, TransportError } from './transport.js';

/** A larger answer does not pass. */
export const MOST_PROBED_BYTES = 256 * 1024;

/**
 * Whether it passes, and why not; a redirect is an answer like any other, and not followed.
 *
 * @throws the signal's reason when that aborted
 */
export async function httpProbe(
  transport: Transport,
  probe: HttpProbe,
  signal: AbortSignal,
): Promise<{ readonly passes: boolean; readonly reason: string }> {
  const url = new URL(probe.url);
  const where = `GET ${url.origin}${url.pathname}`;
  const not = (reason: string) => ({ passes: false, reason: `${where}: ${reason}` });
  try {
    const { response } = await transport.read({
      method: 'GET',
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      // One that was kept alive may have been closed by the other side: that would look like a regression.
      headers: { accept: '*/*', 'user-agent': 'uplift-probe', connection: 'close' },
      body: null,
      timeoutMs: probe.timeoutMs,
      signal,
    });
    const { status, text } = response;
    const isExpected = probe.status === undefined ? status >= 200 && status < 300 : status === probe.status;
    if (!isExpected)
      return not(`HTTP ${status}${status >= 300 && status < 400 ? ', and redirects are not followed' : ''}`);
    if (probe.body !== undefined && !text.includes(probe.body)) return not(`HTTP ${status} without the expected text`);
    return { passes: true, reason: `${where}: HTTP ${status}` };
  } catch (error) {
    if (error instanceof TransportError) return not(error.message);
    throw error;
  }
}
