/** Updates that come late. */
import type { Timely } from './contracts/control.js';

/**
 * The server keeps an update that no worker has answered, and delivers it once one is up, though its sender was told long
 * ago that nothing was recorded. So each says until when its sender waits.
 *
 * @throws Error when that time is over
 */
export function mustBeInTime({ validUntil }: Timely): void {
  if (validUntil === undefined || Date.now() <= Date.parse(validUntil)) return;
  throw new Error(`it came too late: its sender waited until ${validUntil}`);
}
