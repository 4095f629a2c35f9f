/** What a worker process can be set to, by environment variables that are checked before anything is started. */
import { isIP } from 'node:net';
import ms from 'ms';
import { z } from 'zod';

/** The variables that cannot be used, each on one line with its remedy. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';

  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
  }
}

/** Where an endpoint listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** A variable whose text `read` takes, or finds wrong by `null`. */
function variable<T>(remedy: string, read: (text: string) => T | null) {
  return z.string().transform((text, context): T => {
    const value = read(text);
    if (value !== null) return value;
    context.addIssue({ code: 'custom', message: remedy });
    return z.NEVER;
  });
}

function slots(most: number) {
  return variable(`use a whole number from 1 to ${most}`, (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : 0;
    return value >= 1 && value <= most ? value : null;
  });
}

function duration(least: ms.StringValue, most: ms.StringValue) {
  return variable(`use a number and a unit from ${least} to ${most}, as in 90s`, (text) => {
    const value = /^\d+(\.\d+)?(ms|s|m|h)$/.test(text) ? ms(text as ms.StringValue) : 0;
    return value >= ms(least) && value <= ms(most) ? value : null;
  });
}

function queueNames(text: string): readonly string[] | null {
  const names = text.split(',').map((name) => name.trim());
  return names.includes('') || new Set(names).size < names.length ? null : names;
}

function listenAddress() {
  return variable('use host:port, as in 127.0.0.1:9464 or 0.0.0.0:9464', (text): ListenAddress | null => {
    const [, host, port] = /^(\[[0-9a-f:.]+\]|[\w.-]+):(\d{1,5})$/i.exec(text) ?? [];
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535) return null;
    return { host: host.replaceAll(/[[\]]/g, ''), port: Number(port) };
  });
}

/** The SDK serves the metrics, and looks no name up. */
function numericAddress() {
  return listenAddress().refine(({ host }) => isIP(host) !== 0, {
    error: 'use an IP address and a port, as in 127.0.0.1:9464 or 0.0.0.0:9464',
  });
}

/** The server parts name and build by the colon. */
function deploymentName() {
  return variable('leave it out, or give it a name without colons', (name) => (/^[^:]+$/.test(name) ? name : null));
}

function text() {
  return variable('leave it out, or give it a value', (value) => (value === '' ? null : value));
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;

/**
 * Every variable, with what it is for: docs/reference.md is made from this table. Slots are fixed numbers: a precheck
 * waits for its account's turn, and a wait is a timer and an occasional request, so a thousand are cheap, and one slow
 * account leaves room for the others; a submit holds its slot for seconds; a cached workflow costs about 0.3 MB (measured).
 */
export const WORKER_VARIABLES = z.object({
  UPLIFT_QUEUES: variable("use main and accounts' queues, as in main,prod", queueNames)
    .default(['main'])
    .describe(
      'What it serves, with commas: `main` (workflows, and accounts without a `queue`), and queues that accounts name.',
    ),
  UPLIFT_READ_SLOTS: slots(20_000).default(2_000).describe('Prechecks and other short reads at a time.'),
  UPLIFT_SUBMIT_SLOTS: slots(1_000).default(50).describe('Submits at a time.'),
  UPLIFT_WAIT_SLOTS: slots(20_000).default(2_000).describe('Operations that are followed at a time.'),
  UPLIFT_WORKFLOW_SLOTS: slots(1_000).default(40).describe('Workflow tasks at a time.'),
  UPLIFT_CACHED_WORKFLOWS: slots(20_000).default(1_000).describe('Workflows kept in memory, about 0.3 MB each.'),
  UPLIFT_SHUTDOWN_TIMEOUT: duration('1s', '10m')
    .default(60_000)
    .describe('After SIGTERM, how long a submit under way may take to finish; waits are handed over at once.'),
  UPLIFT_HEALTH_ADDRESS: listenAddress()
    .optional()
    .describe('Where `/healthz` and `/readyz` are served; left out: nowhere.'),
  UPLIFT_METRICS_ADDRESS: numericAddress()
    .optional()
    .describe('Where `/metrics` is served for Prometheus; left out: nowhere.'),
  UPLIFT_API_KEY_FILE: text()
    .optional()
    .describe(
      'A file of mode 600 (root’s: 640) with the API key for Temporal alone; a changed key is used within a minute, without a restart.',
    ),
  UPLIFT_DEPLOYMENT: deploymentName()
    .optional()
    .describe('The name of the worker deployment: turns worker versioning on (docs/versioning.md).'),
  UPLIFT_BUILD_ID: text()
    .optional()
    .describe('The version within the deployment; left out: the release and a hash of its workflows.'),
  UPLIFT_LOG_LEVEL: variable(`use one of: ${LEVELS.join(', ')}`, (level) => LEVELS.find((one) => one === level) ?? null)
    .default('info')
    .describe('The least that is logged.'),
});

export type WorkerSettings = z.infer<typeof WORKER_VARIABLES>;

/**
 * @throws SettingsError naming every variable that cannot be used; values are quoted, none of these is a secret
 */
export function workerSettings(env: NodeJS.ProcessEnv): WorkerSettings {
  const parsed = WORKER_VARIABLES.safeParse(env);
  if (parsed.success) {
    if (parsed.data.UPLIFT_BUILD_ID === undefined || parsed.data.UPLIFT_DEPLOYMENT !== undefined) return parsed.data;
    throw new SettingsError([
      'UPLIFT_BUILD_ID is set without UPLIFT_DEPLOYMENT, so no worker would be versioned (set both, or neither)',
    ]);
  }
  throw new SettingsError(
    parsed.error.issues.map(({ path: [name], message }) => {
      const value = env[String(name)];
      return `${String(name)}: ${JSON.stringify(value)} cannot be used (${message})`;
    }),
  );
}
