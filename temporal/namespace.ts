import type { Client } from '@temporalio/client';
import { isGrpcServiceError } from '@temporalio/client';
import { msToTs, optionalTsToMs } from '@temporalio/common/lib/time.js';
import { setTimeout as delay } from 'node:timers/promises';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { lineOf } from './errors.js';

/** Reports read closed workflows long after their rollout; the dev server's own default is one day. */
const RETENTION_DAYS = 90;

const DAY_MS = 86_400_000;
/** gRPC status codes and an IndexedValueType, as the wire has them. */
const NOT_FOUND = 5;
const KEYWORD = 2;
/** A server reads its search attributes again once a minute. */
const VISIBLE_WITHIN_MS = 90_000;
/** With SQL visibility, each of its services reads them again every two seconds: soon after the first, all have. */
const SEEN_BY_ALL_MS = 3_000;
const LOOK_AGAIN_MS = 200;

/** One thing that `uplift doctor` looked at. */
export interface ServerFinding {
  /** What is so, as a sentence. */
  readonly what: string;
  readonly ok: boolean;
  /** Empty when `ok`. */
  readonly remedy: string;
}

/**
 * Looks whether the client's namespace is what Uplift needs: it exists, keeps closed workflows for 90 days or longer,
 * has our search attributes. With `fix`, makes it so first: what then still comes back without `ok` is for the
 * server's administrator.
 *
 * @throws ServiceError when the server goes away or denies even the look.
 */
export async function ensureNamespace(client: Client, options: { readonly fix: boolean }): Promise<ServerFinding[]> {
  const findings = [await checkRetention(client, options.fix)];
  // Without a namespace there is nowhere to look for attributes.
  if ((await retentionDays(client)) !== null) findings.push(await checkAttributes(client, options.fix));
  return findings;
}

async function checkRetention(client: Client, fix: boolean): Promise<ServerFinding> {
  const { namespace } = client.options;
  const before = await retentionDays(client);
  if (before !== null && before >= RETENTION_DAYS) {
    return { what: `Namespace ${namespace} keeps closed workflows for ${before} days`, ok: true, remedy: '' };
  }
  const what =
    before === null
      ? `Namespace ${namespace} does not exist`
      : `Namespace ${namespace} keeps closed workflows for ${before} days, less than ${RETENTION_DAYS}`;
  return mend(what, fix, async () => {
    const retention = msToTs(RETENTION_DAYS * DAY_MS);
    if (before === null) {
      await client.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention });
    } else {
      await client.workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: retention } });
    }
    // A new namespace is described at once, but not yet found by everything else.
    await until(() => succeeds(client.connection.operatorService.listSearchAttributes({ namespace })));
    return `Namespace ${namespace} now keeps closed workflows for ${RETENTION_DAYS} days`;
  });
}

/** `null` for a namespace that does not exist. */
async function retentionDays(client: Client): Promise<number | null> {
  try {
    const { config } = await client.workflowService.describeNamespace({ namespace: client.options.namespace });
    return Math.floor((optionalTsToMs(config?.workflowExecutionRetentionTtl) ?? 0) / DAY_MS);
  } catch (error) {
    if (isGrpcServiceError(error) && Number(error.code) === NOT_FOUND) return null;
    throw error;
  }
}

async function checkAttributes(client: Client, fix: boolean): Promise<ServerFinding> {
  const { namespace } = client.options;
  const names = Object.values(ATTRIBUTES).map((key) => key.name);
  const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace });

  const mistyped = names.filter((name) => (customAttributes[name] ?? KEYWORD) !== KEYWORD);
  if (mistyped.length > 0) {
    return {
      what: `Search attributes of namespace ${namespace} are not of type Keyword: ${mistyped.join(', ')}`,
      ok: false,
      remedy: `remove them with \`temporal operator search-attribute remove\`, then run \`uplift doctor --fix\``,
    };
  }
  const missing = names.filter((name) => customAttributes[name] === undefined);
  if (missing.length === 0) {
    return { what: `Namespace ${namespace} has the ${names.length} search attributes`, ok: true, remedy: '' };
  }
  return mend(`Namespace ${namespace} lacks search attributes: ${missing.join(', ')}`, fix, async () => {
    await client.connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
    });
    // Registered is not yet usable: a workflow started too early would be refused for an unknown attribute.
    const query = missing.map((name) => `${name} = 'x'`).join(' AND ');
    await until(() => succeeds(client.workflow.count(query)));
    await delay(SEEN_BY_ALL_MS);
    return `Namespace ${namespace} now has the ${names.length} search attributes`;
  });
}

function succeeds(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    () => false,
  );
}

async function mend(what: string, fix: boolean, repair: () => Promise<string>): Promise<ServerFinding> {
  if (!fix) return { what, ok: false, remedy: 'run `uplift doctor --fix`' };
  try {
    return { what: await repair(), ok: true, remedy: '' };
  } catch (error) {
    const reason = isGrpcServiceError(error) && error.details ? error.details : lineOf(error);
    return { what, ok: false, remedy: `have the server's administrator do it; it answered: ${reason}` };
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + VISIBLE_WITHIN_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`accepted, but not usable after ${VISIBLE_WITHIN_MS / 1000} s`);
    await delay(LOOK_AGAIN_MS);
  }
}
