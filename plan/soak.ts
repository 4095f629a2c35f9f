/** What a plan asks for as a wave's soak: its shape, and what it is resolved to. */
import { z } from 'zod';
import type { HttpProbe, SoakPlan } from '../workflows/contracts/soak.js';
import type { InputProblem } from './errors.js';
import type { Source } from './source.js';

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const LONGEST_MS = 60 * UNITS.d;
const DEFAULT_EVERY_MS = UNITS.m;
const DEFAULT_SAMPLE = 20;
const DEFAULT_TIMEOUT_MS = 5 * UNITS.s;

const lengthOfTime = z
  .string()
  .regex(/^[1-9]\d{0,6}(s|m|h|d)$/, 'use a whole number above 0 and a unit, as in 90s, 30m, 24h or 7d')
  .refine((text) => msOf(text) <= LONGEST_MS, { error: 'is longer than 60 d', params: { remedy: 'shorten it' } });

const url = z
  .string()
  .max(500)
  .superRefine((text, context) => {
    const objection = urlObjection(text);
    if (objection === null) return;
    context.addIssue({ code: 'custom', message: objection.message, params: { remedy: objection.remedy } });
  })
  .describe('A plain GET from the worker, without redirects. It may carry no secret.');

const http = z.strictObject({
  url,
  expect: z
    .strictObject({
      status: z.int().min(200).max(599).optional().describe('Default: any 2xx.'),
      body: z.string().min(1).max(200).optional().describe('A text that the answer contains.'),
    })
    .optional(),
  timeout: lengthOfTime.optional().describe('Up to the whole answer; default 5s, at most 1m.'),
});

export const soakSchema = z
  .strictObject({
    for: lengthOfTime.describe('So much healthy time: 30m, 24h, 7d. It starts again whenever a probe fails.'),
    probe: z
      .strictObject({
        health: z
          .union(
            [z.literal(true), z.strictObject({ sample: z.int().positive().max(200) })],
            'write `health: true`, or how many resources one round reads: `health: { sample: 50 }`',
          )
          .optional()
          .describe(
            'The resources that the wave brought to their targets, read as `verify` reads them: 20 a round, in turn.',
          ),
        http: http.optional(),
        every: lengthOfTime.optional().describe('Time between two rounds; default 1m, and never longer than `for`.'),
      })
      .refine(({ health, http: over }) => health !== undefined || over !== undefined, {
        error: 'has neither `health` nor `http`',
        when: ({ issues }) => issues.length === 0,
        params: { remedy: 'add `health: true`, an `http` probe, or both: time alone proves nothing' },
      })
      .meta({ anyOf: [{ required: ['health'] }, { required: ['http'] }] }),
  })
  .describe('Healthy time after the wave, before the next one begins or the rollout ends.');

export type SoakEntry = z.infer<typeof soakSchema>;

/** @param timeScale of the plan: a rehearsal soaks so much shorter */
export function resolveSoak(
  source: Source,
  path: readonly (string | number)[],
  { for: healthy, probe }: SoakEntry,
  timeScale: number,
): { readonly soak: SoakPlan; readonly problems: readonly InputProblem[] } {
  const problems: InputProblem[] = [];
  const forMs = msOf(healthy);
  const everyMs = probe.every === undefined ? Math.min(DEFAULT_EVERY_MS, forMs) : msOf(probe.every);
  if (everyMs > forMs) {
    const message = `${probe.every} is longer than the soak itself, ${healthy}`;
    problems.push(source.problem([...path, 'probe', 'every'], message, 'probe more often, or soak longer'));
  }
  const timeoutMs = probe.http?.timeout === undefined ? DEFAULT_TIMEOUT_MS : msOf(probe.http.timeout);
  if (timeoutMs > UNITS.m) {
    const message = `${probe.http?.timeout} is longer than 1m`;
    problems.push(source.problem([...path, 'probe', 'http', 'timeout'], message, 'shorten it'));
  }
  const scaled = (ms: number) => Math.max(Math.round(ms * timeScale), 1);
  const sample = probe.health === true ? DEFAULT_SAMPLE : probe.health?.sample;
  const soak: SoakPlan = {
    forMs: scaled(forMs),
    everyMs: scaled(everyMs),
    ...(sample === undefined ? {} : { health: { sample } }),
    ...(probe.http === undefined ? {} : { http: httpOf(probe.http, timeoutMs) }),
  };
  return { soak, problems };
}

function httpOf({ url: address, expect = {} }: z.infer<typeof http>, timeoutMs: number): HttpProbe {
  return { url: new URL(address).href, timeoutMs, ...expect };
}

/** Milliseconds of `90s`, `30m`, `24h` or `7d`. */
export function msOf(text: string): number {
  return Number.parseInt(text, 10) * UNITS[text.slice(-1) as keyof typeof UNITS];
}

/** Names of parameters by which secrets travel. */
const SECRET_NAME = /token|secret|passw|pwd|key|sig|auth|credential|session|jwt|sas|code/i;
/** Addresses at which clouds hand credentials to their machines. */
const METADATA_HOST = /^(169\.254\.|\[fe[89ab]|\[fd00:ec2:|metadata\.google\.internal$|100\.100\.100\.200$)/i;

/** Why a URL is no address of a probe; what it holds is not repeated. */
function urlObjection(text: string): { readonly message: string; readonly remedy: string } | null {
  if (!URL.canParse(text)) return { message: 'is no URL', remedy: 'write it whole: https://app.example.com/healthz' };
  const { protocol, username, password, hash, hostname, searchParams } = new URL(text);
  if (protocol !== 'https:' && protocol !== 'http:') {
    return { message: `has the scheme ${protocol}`, remedy: 'use https or http' };
  }
  if (username !== '' || password !== '') {
    return { message: 'holds a user name or a password', remedy: 'probe an address that needs none' };
  }
  const secret = [...searchParams.keys()].find((name) => SECRET_NAME.test(name));
  if (secret !== undefined) {
    return { message: `holds what looks like a secret: ?${secret}=…`, remedy: 'probe an address that needs none' };
  }
  if (hash !== '') return { message: 'has a fragment, which no server sees', remedy: 'remove it from # on' };
  if (METADATA_HOST.test(hostname)) {
    return { message: 'is an address at which clouds hand out credentials', remedy: 'probe what was upgraded' };
  }
  return null;
}
