/** The plan file's shape, built from the registry of cloud APIs: a sixth one appears here by itself. */
import { z } from 'zod';
import type { CloudApi } from '../activities/clouds/port.js';
import { selectorSchema } from './selectors.js';

export const API_VERSION = 'uplift/v1';

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

const failureBudget = z
  .strictObject({
    max: z
      .union([z.int().nonnegative(), z.string().regex(PERCENT, BUDGET_REMEDY)], BUDGET_REMEDY)
      .optional()
      .describe('How many upgrades may fail: a number, or a percentage of all targets, rounded down. Default 0.'),
    mode: z
      .enum(['strict', 'loose'])
      .optional()
      .describe('strict (default): never more in flight than may still fail, so failures exceed max by one at most.'),
  })
  .describe('The rollout stops when failures exceed it.');

const wave = z
  .strictObject({
    name: label,
    concurrency: z.int().positive().max(10_000).optional().describe('The most upgrades in flight; default 1.'),
    targets: z.array(z.string()).min(1).optional().describe('Names or ids of targets.'),
    percent: percent.optional(),
    rest: z.literal(true).optional().describe('Everything that no other wave has; in the last wave only.'),
  })
  .refine((one) => [one.targets, one.percent, one.rest].filter((choice) => choice !== undefined).length === 1, {
    error: 'must have exactly one of `targets`, `percent` and `rest`',
    params: { remedy: 'say which targets it takes, in one way' },
  })
  .meta({ oneOf: [{ required: ['targets'] }, { required: ['percent'] }, { required: ['rest'] }] });

const driftRule = z.enum(['proceed', 'hold', 'fail']);

const common = {
  name: label.optional().describe('Name for waves to refer to; with `ids` or `select` it means all of them.'),
  account: z.string().describe('Name of an account in the accounts file.'),
  id: resourceId.optional().describe('Id of the resource.'),
  ids: z.array(resourceId).min(1).optional().describe('Ids of several resources that share these settings.'),
  select: selectorSchema.optional(),
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

/** The plan file. Cross checks (accounts, ids, duplicates, waves) stand in `plan.ts`. */
export function planSchema(apis: readonly CloudApi[]) {
  return z.strictObject({
    apiVersion: z.literal(API_VERSION),
    kind: z.literal('Rollout'),
    metadata: z.strictObject({ name: planName }),
    spec: z.strictObject({
      targets: z.array(targetSchema(apis)).min(1),
      waves: z.array(wave).min(1).optional().describe('In this order; without any, one wave with everything.'),
      failureBudget: failureBudget.optional(),
      drift: z
        .strictObject({ version: driftRule, status: driftRule, size: driftRule, tags: driftRule })
        .partial()
        .optional()
        .describe(
          'When a resource is not as it was planned any more, right before its submit. Default: fail for its version, size and the tags that chose it, proceed for its status.',
        ),
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

export type WaveEntry = z.infer<typeof wave>;
export type BudgetEntry = z.infer<typeof failureBudget>;

/** A number of targets, and how it came about: `{ count: 1, shown: '5 % of 25 = 1' }`. Rounded down. */
export function share(value: number | string, total: number): { count: number; shown: string } {
  const written = typeof value === 'number' ? String(value) : (PERCENT.exec(value)?.[1] ?? '0');
  // In hundredths of a percent: 1.15 * 2000 / 100 is 22.999999999999996.
  const count = Math.floor((Math.round(Number(written) * 100) * total) / 10_000);
  return { count, shown: `${written} % of ${total} = ${count}` };
}
