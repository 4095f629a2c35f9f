/** What `uplift doctor` looks at: each part of an installation by itself, so that one failure hides no other. */
import type { Client } from '@temporalio/client';
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { AccountError, CloudError } from '../activities/clouds/errors.js';
import type { CloudApi } from '../activities/clouds/port.js';
import type { Account } from '../plan/accounts.js';
import { connectClient, type ServerTarget } from '../temporal/connection.js';
import { ensureNamespace } from '../temporal/namespace.js';
import { withClouds, type Clouds } from './clouds.js';
import { errorLines } from './errors.js';
import { type DeploymentView, deployments, unservedBy, variablesOf } from './deployments.js';
import { ownQueues } from './own-queues.js';
import { identitiesOf, type Queue, servedQueues } from './queues.js';

/** `warning`: works, or may not be needed; alone it does not fail the doctor. */
export type Level = 'ok' | 'warning' | 'problem';

export interface Finding {
  readonly level: Level;
  /** One sentence: what is so. */
  readonly what: string;
  /** Empty when `ok`. */
  readonly remedy: string;
}

export interface Examination {
  readonly target: ServerTarget;
  readonly accountsFile: string;
  /** Makes the namespace what it has to be. */
  readonly fix: boolean;
}

/** Yields each finding as soon as it is there. */
export async function* examine({ target, accountsFile, fix }: Examination): AsyncGenerator<Finding> {
  yield* examineServer(target, fix, accountsFile);
  yield* examineAccounts(accountsFile);
}

async function* examineServer(target: ServerTarget, fix: boolean, accountsFile: string): AsyncGenerator<Finding> {
  let client: Client;
  try {
    client = await connectClient(target);
  } catch (error) {
    yield problemOf(error);
    return;
  }
  try {
    const { serverVersion } = await client.workflowService.getSystemInfo({});
    yield { level: 'ok', what: `Temporal at ${target.address} answers (server ${serverVersion})`, remedy: '' };
    const findings = await ensureNamespace(client, { fix });
    for (const { what, ok, remedy } of findings) yield { level: ok ? 'ok' : 'problem', what, remedy };
    // Without a namespace nothing can poll.
    if (findings.length > 1) yield* examineQueues(client, accountsFile);
  } catch (error) {
    yield problemOf(error);
  } finally {
    await client.connection.close();
  }
}

async function* examineQueues(client: Client, accountsFile: string): AsyncGenerator<Finding> {
  // An accounts file that cannot be read is told of by itself.
  const polled = await servedQueues(client, ownQueues(accountsFile));
  for (const { name, pollers } of polled) {
    yield pollers.length > 0
      ? { level: 'ok', what: `Queue ${name} is polled by ${identitiesOf(pollers).join(', ')}`, remedy: '' }
      : { level: 'problem', what: `Queue ${name} is polled by no worker`, remedy: startFor(name) };
  }
  for (const view of await deployments(client, polled)) yield* examineDeployment(view, polled);
}

function startFor(queue: string): string {
  const [, own] = queue.split('@');
  return `start one with \`uplift worker\`${own === undefined ? '' : ` and UPLIFT_QUEUES=${own}`}`;
}

/** Workers that poll and get nothing look as healthy as others. */
function* examineDeployment({ name, current, versions }: DeploymentView, polled: readonly Queue[]): Generator<Finding> {
  const promote = `uplift worker promote --deployment ${name}`;
  if (current === null) {
    const what = `No version of the deployment ${name} is current`;
    // Beside workers that are not versioned: before the first is promoted, or since versioning was turned off.
    yield unservedBy(polled, name, null).length === 0
      ? {
          level: 'warning',
          what: `${what}, so what is new goes to the workers without a deployment`,
          remedy: `end its workers once \`uplift worker drain\` says so, or \`${promote} BUILD\``,
        }
      : { level: 'problem', what: `${what}, so its workers get no new task`, remedy: `\`${promote} BUILD\`` };
  }
  for (const { buildId, state, upgrades, workers, unserved } of versions) {
    const what = `Version ${buildId} of the deployment ${name}`;
    const start = `start one with ${variablesOf(name, buildId)}`;
    if (state === 'current') {
      yield unserved.length === 0
        ? { level: 'ok', what: `${what} is current, and served by ${workers.join(', ')}`, remedy: '' }
        : {
            level: 'problem',
            what: `${what} is current, and no worker of it polls ${unserved.join(', ')}`,
            remedy: start,
          };
    } else if (state === 'draining' && upgrades > 0 && unserved.length > 0) {
      const stuck = `${what} has ${upgrades} upgrades to end, and no worker of it polls ${unserved.join(', ')}`;
      yield { level: 'problem', what: stuck, remedy: start };
    }
  }
}

async function* examineAccounts(file: string): AsyncGenerator<Finding> {
  let findings: Finding[];
  try {
    findings = await withClouds(file, async (clouds) => {
      const accounts = [...clouds.accounts.values()];
      const read = await Promise.all(
        accounts.flatMap((account) => apisOf(account).map((api) => tryReading(clouds, account, api))),
      );
      const names = accounts.map(({ name }) => name).join(', ');
      return [{ level: 'ok', what: `${file} holds ${names}`, remedy: '' }, ...read];
    });
  } catch (error) {
    yield* errorLines(error).map((what): Finding => ({ level: 'problem', what, remedy: 'correct the accounts file' }));
    return;
  }
  yield* findings;
}

/** One API of each family that the account can reach: they share endpoint and credentials. */
function apisOf(account: Account): CloudApi[] {
  const byFamily = new Map(CLOUD_APIS.filter(({ cloud }) => cloud === account.cloud).map((api) => [api.family, api]));
  return [...byFamily.values()];
}

async function tryReading({ sessions }: Clouds, account: Account, api: CloudApi): Promise<Finding> {
  const where = `Account ${account.name}, ${api.family} in ${account.region}`;
  try {
    const { resources, next } = await api.list(await sessions.reader(api, account.name), 0);
    const seen = `${resources.length}${next === null ? '' : ' or more'}`;
    return { level: 'ok', what: `${where}: lists ${seen} resources`, remedy: '' };
  } catch (error) {
    if (error instanceof AccountError) {
      return { level: 'problem', what: `${where}: ${error.message}`, remedy: 'correct the account or its credentials' };
    }
    if (!(error instanceof CloudError)) throw error;
    // An account may well be there for one service only.
    return error.errorClass === 'denied'
      ? {
          level: 'warning',
          what: `${where}: ${error.message}`,
          remedy: `allow it to read ${api.family}, if plans need that`,
        }
      : {
          level: 'problem',
          what: `${where}: ${error.message}`,
          remedy: `check endpoints.${api.family}, credentials and network`,
        };
  }
}

function problemOf(error: unknown): Finding {
  const line = errorLines(error)[0]?.replace(/^uplift: /, '') ?? '';
  // Messages for users end with their remedy in brackets.
  const [, what = line, remedy = 'look at the server'] = /^(.*\S) \(([^()]*)\)$/.exec(line) ?? [];
  return { level: 'problem', what, remedy };
}
