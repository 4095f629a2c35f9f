/** Updates that come late. */
import type { Timely } from './contracts/control.js';

/**
 * The server keeps an update that no worker has answered, and delivers it once one is up, long after its sender has turned
 * to something else. So each says until when it may be heard.
 *
 * @throws Error when that time is over
 */
export function mustBeInTime({ validUntil }: Timely): void {
  if (validUntil === undefined || Date.now() <= Date.parse(validUntil)) return;
  throw new Error(`it came too late: no worker had heard it by ${validUntil}, so nothing was recorded; say it again`);
}
