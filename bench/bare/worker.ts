/**
 * The worker of the bare skeleton, a process of its own. Its activities are Uplift's, so that they make the same calls,
 * without heartbeats, without a look for terminated runs and without asking for a hold.
 */
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { Context } from '@temporalio/activity';
import {
  type ActivityInboundCallsInterceptor,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
} from '@temporalio/worker';
import { systemClock } from '../../activities/clock.js';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import type { CloudApi } from '../../activities/clouds/port.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import { createActivities } from '../../activities/index.js';
import { createTransport } from '../../activities/transport.js';
import { loadAccounts } from '../../plan/accounts.js';

const { values: given } = parseArgs({
  options: {
    accounts: { type: 'string', default: '' },
    address: { type: 'string', default: '' },
    queue: { type: 'string', default: '' },
    /** Polls at this fixed interval, in milliseconds at scale 1, whatever is known of an operation. */
    'fixed-poll-ms': { type: 'string' },
  },
});

const fixedPollMs = given['fixed-poll-ms'] === undefined ? null : Number(given['fixed-poll-ms']);

function paced(api: CloudApi): CloudApi {
  if (fixedPollMs === null) return api;
  return { ...api, pace: { ...api.pace, pollMinMs: fixedPollMs, pollMaxMs: fixedPollMs } };
}

const silent: ActivityInboundCallsInterceptor = {
  execute(input, next) {
    Object.assign(Context.current(), { heartbeat: () => {} });
    return next(input);
  },
};

// As Uplift's own worker.
setFlagsFromString('--heap-growing-percent=50');
Runtime.install({ logger: new DefaultLogger('WARN'), telemetryOptions: { logging: { filter: 'WARN', forward: {} } } });
const transport = createTransport({ clock: systemClock });
const sessions = openSessions({
  accounts: loadAccounts(given.accounts, CLOUD_APIS),
  clock: systemClock,
  transport,
  env: process.env,
});
const { reads, submits, waits } = createActivities({
  apis: CLOUD_APIS.map(paced),
  sessions,
  clock: systemClock,
  holdOf: () => Promise.resolve(null),
});
const connection = await NativeConnection.connect({ address: given.address });
const workflowsPath = fileURLToPath(new URL('workflows.js', import.meta.url));
const worker = await Worker.create({
  connection,
  taskQueue: given.queue,
  workflowsPath,
  // As Uplift's own are.
  bundlerOptions: { preloadModules: ['@temporalio/workflow', workflowsPath] },
  activities: { ...reads, ...submits, ...waits },
  interceptors: { activity: [() => ({ inbound: silent })] },
  maxConcurrentActivityTaskExecutions: 2_000,
  maxConcurrentWorkflowTaskExecutions: 40,
  maxCachedWorkflows: 1_000,
});
process.once('SIGTERM', () => {
  worker.shutdown();
});
process.stdout.write('ready\n');
await worker.run();
await connection.close();
await transport.close();
