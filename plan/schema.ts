/** The plan file's shape, built from the registry of cloud APIs: a sixth one appears here by itself. */
import { z } from 'zod';
import type { CloudApi } from '../activities/clouds/port.js';
import { QUARANTINE_AFTER } from '../workflows/contracts/quarantine.js';
import { notifyField, overrunField } from './notify-schema.js';
import { selectorSchema } from './selectors.js';
import { msOf, soakSchema } from './soak.js';
import { windowFields } from './windows-schema.js';

const API_VERSION = 'uplift/v1';

const planName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'use lower-case letters, digits and hyphens inside, at most 40')
  .describe('Name of the rollout; its id is this name and the first 8 digits of the digest.');

const label = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$/, 'use letters, digits, spaces, dots and hyphens, at most 40');

const resourceId = z.string().regex(/^\S+$/, 'use the id of the resource, without spaces');

/** Two decimals at most, so that a share can be computed without rounding errors. */
const PERCENT = /^(100|\d{1,2}(?:\.\d{1,2})?) ?%$/;

const percent = z
  .number()
  .positive()
  .max(100)
  .refine((value) => Number(value.toFixed(2)) === value, {
    error: 'has more than two decimals',
    params: { remedy: 'use at most two' },
  })
  .describe('Share of all targets, rounded down; taken in the order of the plan from those no wave lists.');

const BUDGET_REMEDY = 'use a whole number (2) or a percentage of all targets ("5%", two decimals at most)';

const FAILURE_CLASSES = ['precheck', 'submit', 'upgrade', 'verify', 'timeout'] as const;

const budgetMax = z.union([z.int().nonnegative(), z.string().regex(PERCENT, BUDGET_REMEDY)], BUDGET_REMEDY);

const failureBudget = z
  .strictObject({
    max: budgetMax
      .optional()
      .describe('How many upgrades may fail: a number, or a percentage of all targets, rounded down. Default 0.'),
    counts: z
      .array(z.enum(FAILURE_CLASSES))
      .min(1)
      .optional()
      .describe('Failures in which steps are charged; default all. The others are shown and tolerated.'),
    mode: z
      .enum(['strict', 'loose'])
      .optional()
      .describe('strict (default): never more in flight than may still fail, so failures exceed max by one at most.'),
  })
  .describe('The rollout stops when failures exceed it.');

const MIN_REMEDY = 'use a whole number above 0 (8) or a percentage of all targets ("80%", two decimals at most)';

const minSuccess = z
  .union([z.int().positive(), z.string().regex(PERCENT, MIN_REMEDY)], MIN_REMEDY)
  .describe(
    'With fewer targets reached the rollout has failed, also within its failure budget: a number, or a percentage of all targets, rounded up. Default 1.',
  );

const quarantineAfter = z
  .union([z.int().positive(), z.literal('never')], 'use a whole number above 0, or "never"')
  .describe(
    `A resource whose upgrades failed so often in a row, in whatever rollouts, is left out until somebody releases it. Default ${QUARANTINE_AFTER}.`,
  );

const LIMIT_REMEDY = 'use a whole number for each of them, or a map of names to numbers';
const atMost = z.union([z.int().positive(), z.record(z.string(), z.int().positive())], LIMIT_REMEDY);
const limits = z
  .strictObject({ account: atMost.optional(), service: atMost.optional(), region: atMost.optional() })
  .describe('The most upgrades in flight: a number for each account, service or region, or numbers by name.');

const words = z.union([z.string(), z.array(z.string()).min(1)], 'use a name or a list of names');
const waveSelect = z
  .strictObject({
    account: words.optional(),
    service: words.optional(),
    region: words.optional(),
    tags: z.record(z.string(), z.string()).optional(),
  })
  .refine((one) => Object.keys(one).length > 0, {
    error: 'is empty',
    when: ({ issues }) => issues.length === 0,
    params: { remedy: 'say which targets, by account, service, region or tags' },
  })
  .meta({ minProperties: 1 })
  .describe('Every target that fits all of it and that no wave lists.');

const group = z
  .strictObject({
    name: label,
    targets: z.array(z.string()).min(1).optional().describe('Names or ids of its members.'),
    tag: z.string().min(1).optional().describe('Name of a tag: resources with the same value are one group.'),
    maxUnavailable: z
      .int()
      .positive()
      .optional()
      .describe(
        'The most members unavailable at a time: in flight, ended failed, held or unhealthy, or upgraded by others when their shard last looked; default 1.',
      ),
  })
  .refine((one) => (one.targets === undefined) !== (one.tag === undefined), {
    error: 'must have exactly one of `targets` and `tag`',
    params: { remedy: 'list its members, or name the tag whose values make groups' },
  })
  .meta({ oneOf: [{ required: ['targets'] }, { required: ['tag'] }] });

/** Before the name of a role, where people are named. */
export const ROLE = 'role:';

const PERSON_REMEDY = 'name people: a role holds no other role';

const roles = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/, 'use letters, digits, dots, underscores and hyphens, at most 40'),
    z.array(z.string().regex(/^(?!role:)[^]/, PERSON_REMEDY)).min(1),
  )
  .describe('People by the role that they have, for `approvers` to name as role:NAME. They are pinned with the plan.');

/** An approval that is waited for stays below the year for which the server keeps the rollout's list. */
const LONGEST_WAIT_MS = msOf('180d');

const approval = z.strictObject({
  approvers: z
    .array(z.string().min(1))
    .min(1)
    .describe(
      'Names, as `uplift` tells them: UPLIFT_ACTOR, the user of a CI, or user@host; or role:NAME, for those who have it.',
    ),
  quorum: z
    .int()
    .positive()
    .optional()
    .describe('How many of them; default 1. Who starts the rollout may not approve it.'),
  expiresAfter: z
    .string()
    .regex(/^[1-9]\d{0,6}(m|h|d)$/, 'use a number and a unit, as in 30m, 24h or 7d')
    .refine((text) => !(msOf(text) > LONGEST_WAIT_MS), {
      error: 'is longer than 180 d',
      params: { remedy: 'shorten it' },
    })
    .optional()
    .describe('So long it is waited for, then the rollout ends; default 7d, at most 180d.'),
});

const wave = z
  .strictObject({
    name: label,
    concurrency: z.int().positive().max(10_000).optional().describe('The most upgrades in flight; default 1.'),
    targets: z.array(z.string()).min(1).optional().describe('Names or ids of targets.'),
    select: waveSelect.optional(),
    percent: percent.optional(),
    rest: z.literal(true).optional().describe('Everything that no other wave has; in the last wave only.'),
    order: z
      .enum(['plan', 'id', 'spread'])
      .optional()
      .describe('plan (default): as the plan has them; id: by id; spread: in turn from each account and region.'),
    limits: limits.optional(),
    approval: approval.optional().describe('Named people let it begin.'),
    soak: soakSchema.optional(),
    failureBudget: z
      .strictObject({ max: budgetMax.describe('A number, or a percentage of the wave, rounded down.') })
      .optional()
      .describe('A budget of its own, besides that of the rollout.'),
  })
  .refine((one) => [one.targets, one.select, one.percent, one.rest].filter((way) => way !== undefined).length === 1, {
    error: 'must have exactly one of `targets`, `select`, `percent` and `rest`',
    params: { remedy: 'say which targets it takes, in one way' },
  })
  .meta({ oneOf: ['targets', 'select', 'percent', 'rest'].map((way) => ({ required: [way] })) });

const driftRule = z.enum(['proceed', 'hold', 'fail']);

const common = {
  name: label.optional().describe('Name for waves to refer to; with `ids` or `select` it means all of them.'),
  account: z.string().describe('Name of an account in the accounts file.'),
  id: resourceId.optional().describe('Id of the resource.'),
  ids: z.array(resourceId).min(1).optional().describe('Ids of several resources that share these settings.'),
  select: selectorSchema.optional(),
  after: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('Names or ids of targets that have to be at theirs before this one starts.'),
};

/** What every target has, whatever its service. */
export const targetHead = z.object({ service: z.string(), ...common });

/** One target: a union on `service`, each with the fields of its API's own target. */
export function targetSchema(apis: readonly CloudApi[]) {
  const [first, ...rest] = apis.map((api) =>
    z
      .strictObject({ service: z.literal(api.service), ...common, ...api.target.shape })
      .refine(({ id, ids, select }) => [id, ids, select].filter((choice) => choice !== undefined).length === 1, {
        error: 'must have exactly one of `id`, `ids` and `select`',
        params: { remedy: 'give the id of one resource, a list of ids that share these settings, or a selector' },
      })
      .meta({ oneOf: [{ required: ['id'] }, { required: ['ids'] }, { required: ['select'] }] }),
  );
  if (first === undefined) throw new Error('no cloud API is registered');
  return z.discriminatedUnion('service', [first, ...rest]);
}

/** Each writes some fifty events into the rollout's history, which has room for 4,000. */
const MOST_WAVES = 50;

/** The plan file. Cross checks (accounts, ids, duplicates, waves) stand in `plan.ts`. */
export function planSchema(apis: readonly CloudApi[]) {
  return z.strictObject({
    apiVersion: z.literal(API_VERSION),
    kind: z.literal('Rollout'),
    metadata: z.strictObject({ name: planName }),
    spec: z.strictObject({
      targets: z.array(targetSchema(apis)).min(1),
      waves: z
        .array(wave)
        .min(1)
        .max(MOST_WAVES)
        .optional()
        .describe('In this order; without any, one wave with everything.'),
      groups: z
        .array(group)
        .min(1)
        .optional()
        .describe('Members of an HA pair or of an application: so many of them at a time.'),
      limits: limits.optional(),
      roles: roles.optional(),
      approval: approval.optional().describe('Named people let the rollout begin.'),
      failureBudget: failureBudget.optional(),
      minSuccess: minSuccess.optional(),
      quarantineAfter: quarantineAfter.optional(),
      ...windowFields,
      overrun: overrunField,
      notify: notifyField,
      drift: z
        .strictObject({ version: driftRule, status: driftRule, size: driftRule, tags: driftRule })
        .partial()
        .optional()
        .describe(
          'When a resource is not as it was planned any more, right before its submit. Default: fail for its version, size and the tags that chose it, proceed for its status.',
        ),
      onLocked: z
        .enum(['wait', 'skip', 'fail'])
        .optional()
        .describe('When another rollout upgrades a resource just now: skip it (default), wait for its end, or fail.'),
      onOtherTarget: z
        .enum(['wait', 'fail'])
        .optional()
        .describe(
          'When an upgrade that somebody else started leads elsewhere: fail (default), or wait for its end and then begin ours.',
        ),
      timeScale: z
        .number()
        .positive()
        .max(1)
        .optional()
        .describe('Multiplies every bound and interval; for rehearsals against the simulator only.'),
    }),
  });
}

export type TargetEntry = z.infer<typeof targetHead>;
export type WaveEntry = z.infer<typeof wave>;
export type BudgetEntry = z.infer<typeof failureBudget>;
export type ApprovalEntry = z.infer<typeof approval>;
export type RolesEntry = z.infer<typeof roles>;
export type GroupEntry = z.infer<typeof group>;
export type LimitsEntry = z.infer<typeof limits>;
export type WaveSelectEntry = z.infer<typeof waveSelect>;

/** A number of targets, and how it came about: `{ count: 1, shown: '5 % of 25 = 1' }`. Rounded down, unless up is said. */
export function share(
  value: number | string,
  total: number,
  round: (count: number) => number = Math.floor,
): { count: number; shown: string } {
  const written = typeof value === 'number' ? String(value) : (PERCENT.exec(value)?.[1] ?? '0');
  // In hundredths of a percent: 1.15 * 2000 / 100 is 22.999999999999996.
  const count = round((Math.round(Number(written) * 100) * total) / 10_000);
  return { count, shown: `${written} % of ${total} = ${count}` };
}
