/** Alibaba Cloud Elasticsearch, API 2017-06-13 (API reference, UpgradeEngineVersion): no job, the cluster's state tells. */
import { z } from 'zod';
import type { Finding, Operation } from '../../../workflows/contracts/upgrade.js';
import { classifyBy, type ErrorTable } from '../classify.js';
import { CloudError } from '../errors.js';
import type { CloudApi, CloudReader, OperationRecord, Pace, Progress, ResourceState, Standing } from '../port.js';
import { compareDotted } from '../versions.js';

const esTarget = z.strictObject({
  version: z
    .string()
    .regex(/^(ali)?\d+(\.\d+){1,2}$/, 'must be an engine version such as 6.7 or a kernel patch such as ali1.2.0')
    .describe('6.7 with type engineVersion; ali1.2.0 with type aliVersion.'),
  type: z
    .enum(['engineVersion', 'aliVersion'])
    .default('engineVersion')
    .describe('What is upgraded: the Elasticsearch engine, or its kernel patch.'),
  updateStrategy: z
    .enum(['blue_green', 'normal', 'intelligent'])
    .optional()
    .describe('How nodes are replaced. blue_green cannot be interrupted and changes the nodes’ addresses.'),
});
export type ElasticsearchTarget = z.infer<typeof esTarget>;

/** Codes of the API reference and of Alibaba's own clients. */
export const ES_ERRORS: ErrorTable = {
  'not-found': ['InstanceNotFound'],
  busy: [
    'InstanceActivating',
    'InstanceStatusNotSupportCurrentAction',
    'ConcurrencyUpdateInstanceConflict',
    'InstanceDuplicateScheduledTask',
    'TokenPreviousRequestProcessError',
  ],
  // At HTTP 400 as well as 429.
  throttled: ['Throttling*', 'Rejected.Throttling', 'QPS Limit Exceeded'],
  // No nonce of ours repeats: whoever repeated one may have brought the first request there as well.
  transient: ['ServiceUnavailable', 'InternalServerError', 'SignatureNonceUsed'],
  'already-done': ['RepetitionOperationError'],
  // Of a client token that came before with other parameters: documented for ECS.
  permanent: ['IdempotentParameterMismatch'],
  'clock-skew': ['InvalidTimeStamp.Expired'],
  denied: ['SignatureDoesNotMatch', 'InvalidAccessKeyId*', 'InvalidSecurityToken*', 'Forbidden*', 'NoPermission*'],
};

/**
 * About an hour (Elasticsearch user guide, Upgrade the version of a cluster); Terraform's provider waits six. It takes
 * one `active` for the end; a second read, each with health GREEN, is asked for here, since health is no part of the
 * status. The visibility lag is documented nowhere: a careful guess.
 */
const PACE: Pace = {
  expectedMs: 60 * 60_000,
  deadlineMs: 6 * 60 * 60_000,
  pollMinMs: 15_000,
  pollMaxMs: 60_000,
  stableReads: 2,
  stableEveryMs: 10_000,
  visibilityLagMs: 60_000,
};

/** `activating` is any change; the action records tell whether it is an upgrade. */
const CONDITIONS: Readonly<Record<string, ResourceState['condition']>> = {
  active: 'ready',
  activating: 'busy',
  // Frozen.
  inactive: 'broken',
  invalid: 'broken',
};

const PAGE_SIZE = 100;
const RECORDS_PAGE_SIZE = 50;
/** No cluster changes so often; a list that never ends is the cloud's mistake. */
const RECORDS_PAGES = 20;
/** The cloud accepts calls whose clock is 15 minutes off, so its records may be dated that much before ours. */
const CLOCK_TOLERANCE_MS = 15 * 60_000;
/** A record may be dated a little before the answer that told of it. */
const RECORD_BEFORE_ANSWER_MS = 60_000;
/** An upgrade takes an hour and never this long: older records are not of the one that runs. */
const RECORDS_REACH_MS = 24 * 3_600_000;

const instance = z.object({
  instanceId: z.string(),
  description: z.string().nullish(),
  status: z.string(),
  esVersion: z.string(),
  nodeAmount: z.number().nullish().catch(null),
  nodeSpec: z.object({ spec: z.string().nullish(), disk: z.number().nullish() }).nullish().catch(null),
  tags: z.array(z.object({ tagKey: z.string(), tagValue: z.string().nullish() })).nullish(),
});
type Instance = z.infer<typeof instance>;

const instanceBody = z.object({ Result: instance });
const instancesBody = z.object({
  Result: z.array(instance),
  Headers: z.object({ 'X-Total-Count': z.coerce.number().nullish() }).nullish(),
});

const offerBody = z.object({
  Result: z.object({
    UpgradeInfo: z.object({
      /** "Indicates whether an upgradable version is available." */
      Upgrade: z.boolean().nullish(),
      curApackVersion: z.string().nullish(),
      upgradeApackVersion: z.string().nullish(),
      curEsVersion: z.string().nullish(),
      upgradeEsVersion: z.string().nullish(),
    }),
  }),
});
type Offer = z.infer<typeof offerBody>['Result']['UpgradeInfo'];

const phase = z.object({
  subState: z.string().nullish(),
  stateType: z.string().nullish(),
  process: z.string().nullish(),
  exception: z.string().nullish(),
  nodeCount: z.number().nullish(),
  completeNodeCount: z.number().nullish(),
});
const record = z.object({
  actionName: z.string(),
  stateType: z.string(),
  process: z.string().nullish(),
  requestId: z.string().nullish(),
  startTime: z.number(),
  statusInfo: z.array(phase).nullish(),
});
type ActionRecord = z.infer<typeof record>;
const recordsBody = z.object({ Result: z.array(record) });

const healthBody = z.object({ Result: z.string() });

const dryRunBody = z.object({
  Result: z.array(
    z.object({
      validateType: z.string(),
      status: z.string(),
      validateResult: z
        .array(
          z.object({
            errorType: z.string().nullish(),
            errorCode: z.string().nullish(),
            errorMsg: z.string().nullish(),
          }),
        )
        .nullish(),
    }),
  ),
});

/** The fixed headers of an action: the gateway routes by path, and wants them all the same. */
function action(name: string): { readonly headers: Readonly<Record<string, string>> } {
  return { headers: { 'x-acs-action': name, 'x-acs-version': '2017-06-13' } };
}

const instancePath = (id: string, ...rest: string[]): readonly string[] => ['openapi', 'instances', id, ...rest];

/**
 * `version` is the engine's and, where it could be read, the kernel patch's: `6.7.0 (apack 1.2.0)`. A list has no
 * patch, since that takes a call per cluster.
 */
async function describe(reader: CloudReader, id: string): Promise<ResourceState> {
  const found = await readInstance(reader, id);
  const state = stateOf(found, await patchOf(reader, found));
  if (found.status !== 'activating') return state;
  const running = (await upgrades(reader, id, 0)).some((entry) => recordState(entry) === 'running');
  return running ? { ...state, condition: 'upgrading' } : state;
}

async function readInstance(reader: CloudReader, id: string): Promise<Instance> {
  return (await reader.read({ path: instancePath(id), ...action('DescribeInstance') }, instanceBody)).Result;
}

async function readOffer(reader: CloudReader, id: string): Promise<Offer> {
  const request = { path: instancePath(id, 'upgradeInfo'), ...action('UpgradeInfo') };
  return (await reader.read(request, offerBody)).Result.UpgradeInfo;
}

/** The kernel patch's version; `null` when there is none, or none can be told while the cluster changes. */
async function patchOf(reader: CloudReader, { instanceId, status }: Instance): Promise<string | null> {
  try {
    return (await readOffer(reader, instanceId)).curApackVersion ?? null;
  } catch (error) {
    if (error instanceof CloudError && error.errorClass === 'busy' && status !== 'active') return null;
    throw error;
  }
}

/** `6.3.2_with_X-Pack` → `6.3.2`. */
function dotted(esVersion: string): string {
  return esVersion.replace(/_with_X-Pack$/i, '');
}

function stateOf(found: Instance, patch: string | null): ResourceState {
  const engine = dotted(found.esVersion);
  return {
    id: found.instanceId,
    name: found.description || found.instanceId,
    status: found.status,
    condition: CONDITIONS[found.status] ?? 'busy',
    version: patch ? `${engine} (apack ${patch})` : engine,
    ...sizeOf(found),
    tags: Object.fromEntries((found.tags ?? []).map(({ tagKey, tagValue }) => [tagKey, tagValue ?? ''])),
    detail: found.esVersion,
  };
}

/** `elasticsearch.sn2ne.large, 50 GB x 3` */
function sizeOf({ nodeAmount, nodeSpec }: Instance): { size?: string } {
  const node = [nodeSpec?.spec, nodeSpec?.disk == null ? null : `${nodeSpec.disk} GB`].filter(Boolean).join(', ');
  return node === '' ? {} : { size: nodeAmount == null ? node : `${node} x ${nodeAmount}` };
}

function standing({ version }: ResourceState, target: ElasticsearchTarget): Standing {
  const [, engine = '', patch = ''] = /^(\S+)(?: \(apack (\S+)\))?$/.exec(version) ?? [];
  return target.type === 'aliVersion'
    ? compareDotted(patch, target.version.replace(/^ali/, ''))
    : compareDotted(engine, target.version);
}

/** Records of upgrades, newest first; `since` is epoch ms, 0 for as far back as a running one can reach. */
async function upgrades(reader: CloudReader, id: string, since: number): Promise<ActionRecord[]> {
  const from = Math.max(since - CLOCK_TOLERANCE_MS, reader.now() - RECORDS_REACH_MS);
  const found: ActionRecord[] = [];
  for (let page = 1; page <= RECORDS_PAGES; page++) {
    const query = {
      startTime: String(from),
      // By default the cloud's own clock bounds the list, which may be behind ours.
      endTime: String(reader.now() + CLOCK_TOLERANCE_MS),
      page: String(page),
      size: String(RECORDS_PAGE_SIZE),
    };
    const path = instancePath(id, 'action-records');
    const { Result } = await reader.read({ path, query, ...action('ListActionRecords') }, recordsBody);
    found.push(...Result);
    if (Result.length < RECORDS_PAGE_SIZE) break;
  }
  return found
    .filter((entry) => /upgrade/i.test(entry.actionName) && entry.startTime >= from)
    .sort((a, b) => b.startTime - a.startTime);
}

/** `stateType`'s values are not documented; the console says in progress, completed, suspended. */
function recordState({ stateType }: ActionRecord): OperationRecord['state'] {
  if (/succe|complete|finish|done/i.test(stateType)) return 'succeeded';
  return /fail|error|interrupt|cancel|terminat|abort/i.test(stateType) ? 'failed' : 'running';
}

/** What a record says: the phase that is on, or what went wrong. */
function recordDetail(entry: ActionRecord): string {
  const phases = entry.statusInfo ?? [];
  const exceptions = phases.flatMap(({ exception }) => exception || []);
  if (exceptions.length > 0) return `${entry.actionName} ${entry.stateType}: ${exceptions.join('; ')}`;
  const current = phases.findLast(({ stateType }) => stateType && !/pending|wait|init/i.test(stateType));
  if (current?.subState == null) return `${entry.actionName} ${entry.stateType}`;
  const nodes = current.nodeCount == null ? '' : `, ${current.completeNodeCount ?? 0} of ${current.nodeCount} nodes`;
  return `${entry.actionName} ${entry.stateType}: ${current.subState}${nodes}`;
}

/** `37%`, `37` → 37. */
function percentOf({ process }: ActionRecord): number | null {
  const percent = Number.parseFloat(process ?? '');
  return Number.isFinite(percent) ? Math.min(100, Math.max(0, percent)) : null;
}

async function poll(
  reader: CloudReader,
  id: string,
  target: ElasticsearchTarget,
  operation: Operation,
): Promise<Progress> {
  const since = Date.parse(operation.since);
  const { status } = await readInstance(reader, id);
  const records = await upgrades(reader, id, since);
  // That a record carries the submit's request id is documented and unproven; else the first one since then is meant.
  const entry =
    records.find(({ requestId }) => operation.id !== null && requestId === operation.id) ??
    records.findLast(({ startTime }) => startTime >= since - RECORD_BEFORE_ANSWER_MS);
  const progress = (state: Progress['state'], detail: string, percent: number | null = null): Progress => ({
    state,
    detail: `status ${status}, ${detail}`,
    percent,
    remainingMs: null,
  });
  if (entry !== undefined) {
    const recorded = recordState(entry);
    const isRunning = recorded === 'running' || status === 'activating';
    return isRunning
      ? progress('running', recordDetail(entry), percentOf(entry))
      : progress(recorded, recordDetail(entry));
  }

  // No record: the cluster's own state has to do.
  const state = await describe(reader, id);
  const seen = `version ${state.version}, no action record`;
  switch (state.condition) {
    case 'ready':
      return progress(standing(state, target) === 'at' ? 'succeeded' : 'vanished', seen);
    case 'broken':
    case 'stopped':
      return progress('failed', seen);
    default:
      return progress('running', seen);
  }
}

async function precheck(
  reader: CloudReader,
  id: string,
  target: ElasticsearchTarget,
  token: string,
): Promise<Finding[]> {
  const offered = offerFinding(await readOffer(reader, id), target);
  // A dry run for a version that is not on offer would only fail, and name none that is.
  if (offered.status !== 'success') return [offered];
  const { Result } = await reader.read({ ...upgradeRequest(id, target, token, 'true'), method: 'POST' }, dryRunBody);
  if (Result.length === 0) {
    // Silence is no consent.
    const message = 'the dry run answered without a single check';
    return [offered, { check: 'dryRun', status: 'unknown', problems: [{ type: 'dryRun', code: 'NoChecks', message }] }];
  }
  const checks = Result.map(({ validateType, status, validateResult }) => ({
    check: validateType,
    status,
    problems: (validateResult ?? []).map(({ errorType, errorCode, errorMsg }) => ({
      type: errorType ?? '',
      code: errorCode ?? '',
      message: errorMsg ?? '',
    })),
  }));
  return [offered, ...checks];
}

/** Whether the target is what the cloud offers the cluster: one engine version and one kernel patch at a time. */
function offerFinding(offer: Offer, { version, type }: ElasticsearchTarget): Finding {
  const isPatch = type === 'aliVersion';
  const [current, next] = isPatch
    ? [offer.curApackVersion, offer.upgradeApackVersion]
    : [offer.curEsVersion, offer.upgradeEsVersion];
  const check = 'upgradeInfo';
  const problem = (code: string, message: string) => [{ type, code, message }];
  if (!next && offer.Upgrade !== false) {
    const message = 'the cloud names no version on offer, so the dry run alone decides';
    return { check, status: 'success', problems: problem('OfferNotTold', message) };
  }
  const offered = dotted(next ?? '');
  if (compareDotted(offered, version.replace(/^ali/, '')) === 'at') return { check, status: 'success', problems: [] };
  // What is offered to a cluster that has it already is nothing.
  const isNews = offered !== '' && compareDotted(offered, dotted(current ?? '')) !== 'at';
  const instead = isNews ? `${isPatch ? 'ali' : ''}${offered}` : 'no version at all';
  return {
    check,
    status: 'failed',
    problems: problem('VersionNotOffered', `${version} is not on offer: the cloud offers ${instead}`),
    remedy: isNews ? `set the target's \`version\` to ${instead}` : 'remove the target',
  };
}

/** The one call that changes something, and with `dryRun` true changes nothing. */
function upgradeRequest(
  id: string,
  { version, type, updateStrategy }: ElasticsearchTarget,
  clientToken: string,
  dryRun: 'true' | 'false',
) {
  return {
    path: instancePath(id, 'actions', 'upgrade-version'),
    query: { clientToken, dryRun, ...(updateStrategy === undefined ? {} : { updateStrategy }) },
    body: { version, type },
    ...action('UpgradeEngineVersion'),
  };
}

const acceptedBody = z.object({ RequestId: z.string().min(1), Result: z.unknown().optional() });
const failedChecks = z
  .array(z.object({ status: z.string() }))
  .transform((checks) => checks.some(({ status }) => status !== 'success'));

export const elasticsearch: CloudApi<ElasticsearchTarget> = {
  cloud: 'alibaba',
  service: 'elasticsearch',
  family: 'elasticsearch',
  pace: PACE,
  id: {
    pattern: /^es(-[a-z0-9]+)+$/,
    hint: 'the id of a cluster begins with es-, such as es-cn-n6w1o1x0w001cabcd',
  },
  target: esTarget,
  label: ({ version }) => version,
  objection({ version, type }) {
    if (version.startsWith('ali') === (type === 'aliVersion')) return null;
    return type === 'aliVersion'
      ? `version ${version} is no kernel patch (name one such as ali1.2.0, or use type: engineVersion)`
      : `version ${version} is a kernel patch (add type: aliVersion)`;
  },

  describe,
  async list(reader, page) {
    const query = { page: String(page + 1), size: String(PAGE_SIZE) };
    const request = { path: ['openapi', 'instances'], query, ...action('ListInstance') };
    const { body, headers } = await reader.readWithHeaders(request, instancesBody);
    const total = body.Headers?.['X-Total-Count'] ?? Number(headers['x-total-count'] ?? Number.NaN);
    const isLast = Number.isNaN(total) ? body.Result.length < PAGE_SIZE : (page + 1) * PAGE_SIZE >= total;
    return {
      resources: body.Result.map((found) => stateOf(found, null)),
      next: isLast || body.Result.length === 0 ? null : page + 1,
      ...(Number.isNaN(total) ? {} : { total }),
    };
  },
  standing,
  precheck,

  submission: (_scope, id, target, token) => ({ method: 'POST', ...upgradeRequest(id, target, token, 'false') }),
  accepted(response) {
    const body = acceptedBody.safeParse(response.json);
    if (!body.success) return { kind: 'unknown', reason: `HTTP ${response.status} without a RequestId` };
    if (failedChecks.safeParse(body.data.Result).data === true) {
      return { kind: 'unknown', reason: `HTTP ${response.status} with failed checks (request ${body.data.RequestId})` };
    }
    return { kind: 'accepted', operationId: body.data.RequestId };
  },

  async operations(reader, id, since) {
    return (await upgrades(reader, id, since)).map((entry) => ({
      operation: { id: entry.requestId ?? null, since: new Date(entry.startTime).toISOString() },
      state: recordState(entry),
      reason: recordDetail(entry),
    }));
  },
  poll,
  async health(reader, id) {
    const request = { path: instancePath(id, 'elasticsearch-health'), ...action('DescribeElasticsearchHealth') };
    const { Result } = await reader.read(request, healthBody);
    return { healthy: Result.toUpperCase() === 'GREEN', detail: `health ${Result}` };
  },

  classify: (error) => classifyBy([ES_ERRORS], error),
};
