/** What `spec` may say of windows; what can be seen only across entries stands in `windows.ts`. */
import { z } from 'zod';
import { instantOf, isoDuration, WEEKDAYS } from '../calendar/forms.js';

const duration = z.string().refine((text) => isoDuration(text) !== null, {
  error: 'is no length of time',
  params: { remedy: 'write 4h, 90m, 1h30m or 1d' },
});
const zone = z.string().describe('IANA name of a time zone: Europe/Berlin.');
const days = z.array(z.enum(WEEKDAYS)).min(1).describe('Weekdays on which it starts.');
const rrule = z.string().describe('RFC 5545 recurrence rule, without DTSTART: FREQ=MONTHLY;BYDAY=2SA.');
const start = z.string().describe('When it starts: 22:00; with `rrule` also a first date and time, 2026-01-10T22:00.');
const lasts = duration.describe('How long: 4h, 1h30m; 1d is one calendar day.');
const scope = z
  .strictObject({
    accounts: z.array(z.string()).min(1).optional(),
    regions: z.array(z.string()).min(1).optional(),
    tags: z.record(z.string(), z.string()).optional().describe('Tags that a resource has, each with this value.'),
  })
  .refine((one) => Object.keys(one).length > 0, {
    error: 'is empty',
    params: { remedy: 'name accounts, regions or tags, or remove it: then it holds for every target' },
  })
  .optional()
  .describe('For which targets; all that is given must fit. Left out: for every one.');

const windowEntry = z
  .strictObject({
    name: z.string().min(1).max(60),
    days: days.optional(),
    rrule: rrule.optional(),
    start,
    duration: lasts,
    timezone: zone,
    for: scope,
  })
  .refine((one) => (one.days === undefined) !== (one.rrule === undefined), {
    error: 'must have either `days` or `rrule`',
    params: { remedy: 'say when it occurs, in one way' },
  })
  .meta({ oneOf: [{ required: ['days'] }, { required: ['rrule'] }] });

const BLACKOUT_WAYS = ['dates', 'from', 'days', 'rrule', 'ics'] as const;
const moment = z.string().describe('2026-12-24, or 2026-12-24T18:00.');
const blackoutEntry = z
  .strictObject({
    reason: z.string().min(1).max(120),
    dates: z.array(z.string()).min(1).optional().describe('Whole days: 2026-12-24.'),
    from: moment.optional(),
    to: moment.optional().describe('A date is included, a time is not.'),
    days: days.optional(),
    rrule: rrule.optional(),
    start: start.optional(),
    duration: lasts.optional(),
    ics: z.string().min(1).optional().describe('An iCalendar file; every event of it denies. Relative to this file.'),
    zones: z.record(z.string(), z.string()).optional().describe("With `ics`: IANA names for the file's own zones."),
    timezone: zone,
    for: scope,
  })
  .refine((one) => BLACKOUT_WAYS.filter((way) => one[way] !== undefined).length === 1, {
    error: 'must have exactly one of `dates`, `from`, `days`, `rrule` and `ics`',
    params: { remedy: 'say when it is, in one way' },
  })
  .refine((one) => (one.from === undefined) === (one.to === undefined), {
    error: 'has only one of `from` and `to`',
    params: { remedy: 'give both' },
  })
  .refine(
    (one) => ((one.days ?? one.rrule) !== undefined) === (one.start !== undefined && one.duration !== undefined),
    {
      error: 'must have `start` and `duration` with `days` or `rrule`, and only there',
      params: { remedy: 'add or remove them' },
    },
  )
  .refine((one) => one.zones === undefined || one.ics !== undefined, {
    error: 'has `zones` without `ics`',
    params: { remedy: 'remove it' },
  })
  .meta({ oneOf: BLACKOUT_WAYS.map((way) => ({ required: [way] })) });

const instant = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:[0-5]\d)?(Z|[+-]\d{2}:\d{2})$/, {
    error: 'write an instant with its offset: 2026-12-01T06:00+01:00',
    abort: true,
  })
  // Date.parse takes 30 February for 2 March.
  .refine((text) => typeof instantOf(text) === 'number', {
    error: 'is no date and time',
    params: { remedy: 'write an instant with its offset: 2026-12-01T06:00+01:00' },
  });

const usually = z.strictObject({
  p50: duration.describe('One of two takes no longer.'),
  p90: duration.describe('Nine of ten take no longer; with `startOnlyIfFits` it has to fit.'),
});

/** What `spec` has of windows. */
export const windowFields = {
  windows: z
    .array(windowEntry)
    .min(1)
    .optional()
    .describe('When upgrades may be submitted; several are their union. Without any: at any time.'),
  blackouts: z.array(blackoutEntry).min(1).optional().describe('When nothing is submitted, whatever the windows say.'),
  startBy: instant.optional().describe('By then the first upgrade has to be under way, or nothing is started.'),
  expireAt: instant.optional().describe('From then on nothing is started.'),
  missedWindow: z
    .enum(['next', 'expire'])
    .optional()
    .describe('What the first opening leaves: next (default) waits for the next one, expire is not started.'),
  margin: duration.optional().describe('So long before an opening ends nothing is started any more. Default: 0.'),
  startOnlyIfFits: z
    .boolean()
    .optional()
    .describe('Whether an upgrade starts only if it can end within the opening. Default: true.'),
  durations: z
    .record(z.string(), z.union([duration, usually], 'use a duration (45m), or p50 and p90'))
    .optional()
    .describe(
      'How long an upgrade takes, by service: 45m, which nine of ten keep, or p50 and p90. By default what was learned, or what the cloud documents.',
    ),
};
const windowSpec = z.object(windowFields);
export type WindowSpec = z.infer<typeof windowSpec>;
/** For which targets an entry holds; `undefined`: for every one. */
export type Scope = z.infer<typeof scope>;
