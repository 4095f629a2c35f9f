import type { ErrorTable } from '../classify.js';

/**
 * An error of the request's as it is written today and as it was: `DCS.4053` and `111400053`. Answers still have either.
 */
const both = (...numbers: readonly number[]): string[] =>
  numbers.flatMap((number) => [`DCS.${number}`, `111400${String(number).slice(1)}`]);

/** Codes of "DCS API reference, Error Codes" that reads and upgrades may meet, and what Terraform's provider waits for. */
export const DCS_ERRORS: ErrorTable = {
  'already-done': both(4053),
  busy: [
    // A task is running; another state; not running.
    ...both(4017, 4026, 4049),
    // Backup, restore, internal recovery, an order for more capacity.
    ...both(4096, 4097, 4104, 4108),
    // Restart, resizing, configuration (4069 is another user's), password, upgrade, rollback, creation, freezing, reset.
    ...both(4111, 4113, 4114, 4069, 4115, 4116, 4117, 4118, 4120, 4121),
    // Offline and big key analyses; creating or restarting.
    ...both(4231, 4918, 4975),
    // Another operation of an order is going on.
    'CBC.99003651',
  ],
  'not-found': ['DCS.3022', '111404022', ...both(4119)],
  denied: ['DCS.2003', 'DCS.2007', 'DCS.3002', '111403002', '111403003'],
  token: ['DCS.1001', 'DCS.1002', 'DCS.1003', 'DCS.1004', '11140100*'],
  permanent: [
    // Project id, body, JSON; instance id, query, body, task id; any other parameter.
    ...both(4002, 4004, 4005, 4061, 4062, 4063, 4070, 4800),
    // Not on this node; no background tasks here.
    ...both(4027, 4094),
    // No such URL; no such method.
    'DCS.4001',
    '111404001',
    'DCS.5001',
    '111405001',
  ],
  transient: ['DCS.5*', '111500*'],
};
