/** The accounts file: named cloud identities. It names where credentials are, and never holds them. */
import { dirname, resolve } from 'node:path';
import { homedir } from 'node:os';
import { z } from 'zod';
import { CLOUDS } from '../activities/clouds/index.js';
import type { CloudApi } from '../activities/clouds/port.js';
import type { InputProblem } from './errors.js';
import { InputError } from './errors.js';
import type { UnknownKeyRemedy } from './problems.js';
import { parseWith } from './problems.js';
import type { Source } from './source.js';
import { readSource } from './source.js';
import { type Webhook, webhooksField, webhooksOf } from './webhooks.js';

/** One account as the steps use it, every default filled in. */
export interface Account {
  readonly name: string;
  readonly cloud: string;
  readonly region: string;
  /** Huawei's project id; empty where it is looked up by the region's name, and at clouds without projects. */
  readonly projectId: string;
  readonly credentials: CredentialsSource;
  /** Base URL per service family (`ges`, `elasticsearch`), overriding the region table. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Plain http beyond loopback is refused unless this is set. */
  readonly allowPlainHttp: boolean;
  /** Path of the only authorities (PEM) that may vouch for its endpoints; left out, those that Node trusts. */
  readonly caFile?: string;
  /** Calls per second. */
  readonly rates: { readonly reads: number; readonly writes: number };
  /** The most upgrades in flight in this account. */
  readonly concurrency: number;
  /** Its upgrades' steps run on task queues of this name, which only workers with `UPLIFT_QUEUES` serve. */
  readonly queue?: string;
}

export type CredentialsSource =
  { readonly kind: 'env'; readonly prefix: string } | { readonly kind: 'file'; readonly path: string };

/** Calls per second of an account that says nothing of it. */
export const DEFAULT_RATES = { reads: 5, writes: 1 };
const DEFAULT_CONCURRENCY = 20;

/** `main` names everybody's queues. */
const QUEUE_NAME = /^(?!main$)[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

const accountName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'use letters, digits, dots and hyphens, at most 63');

const credentials = z
  .strictObject({
    env: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]*[A-Z0-9]$/, 'give the prefix of the environment variables, as in CLOUD_SDK')
      .optional()
      .describe(
        'Prefix of the environment variables: CLOUD_SDK reads CLOUD_SDK_AK and CLOUD_SDK_SK; or CLOUD_SDK_USER, CLOUD_SDK_PASSWORD and CLOUD_SDK_DOMAIN; or CLOUD_SDK_TOKEN.',
      ),
    file: z
      .string()
      .regex(/\S/, 'give a path')
      .optional()
      .describe('A file that only its owner can read; relative to this file.'),
  })
  .refine((source) => (source.env === undefined) !== (source.file === undefined), {
    error: 'must have either `env` or `file`',
    params: { remedy: 'give exactly one of the two' },
  })
  .meta({ oneOf: [{ required: ['env'] }, { required: ['file'] }] });

const rate = z.number().positive().max(1000);

function accountSchema(cloud: string, families: readonly string[]) {
  const endpoint = z.string().describe('Base URL without a path; overrides the region table.');
  return z.strictObject({
    cloud: z.literal(cloud),
    region: z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use the id of a region, as in cn-north-4'),
    ...(cloudOf(cloud)?.hasProjects === true
      ? {
          projectId: z
            .string()
            .regex(/^[A-Za-z0-9_-]+$/, "use the project's id (console: My Credentials)")
            .optional()
            .describe("The project's id; looked up by the region's name when left out."),
        }
      : {}),
    credentials: credentials.optional().describe('Where the credentials come from; the vendor’s variables by default.'),
    endpoints: z.strictObject(Object.fromEntries(families.map((family) => [family, endpoint.optional()]))).optional(),
    allowPlainHttp: z.boolean().optional().describe('Lets an endpoint beyond loopback be plain http.'),
    caFile: z
      .string()
      .regex(/\S/, 'give a path')
      .optional()
      .describe('PEM file with the only authorities that may vouch for the endpoints; relative to this file.'),
    rates: z
      .strictObject({ reads: rate.optional(), writes: rate.optional() })
      .optional()
      .describe('Calls per second; 5 reads and 1 write by default.'),
    concurrency: z.int().positive().max(1000).optional().describe('The most upgrades in flight in this account; 20.'),
    queue: z
      .string()
      .regex(QUEUE_NAME, 'use letters, digits, dots and hyphens, at most 63, and not main')
      .optional()
      .describe('Its upgrades run on task queues of this name, which a worker serves that has it in UPLIFT_QUEUES.'),
  });
}

/** The fields of any cloud's account, for reading what `accountsSchema` has let through. */
const anyAccount = z.object({
  cloud: z.string(),
  region: z.string(),
  projectId: z.string().optional(),
  credentials: credentials.optional(),
  endpoints: z.record(z.string(), z.string()).optional(),
  allowPlainHttp: z.boolean().optional(),
  caFile: z.string().optional(),
  rates: z.object({ reads: z.number().optional(), writes: z.number().optional() }).optional(),
  concurrency: z.number().optional(),
  queue: z.string().optional(),
});

/** The accounts file, for the clouds and service families of `apis`. */
export function accountsSchema(apis: readonly CloudApi[]) {
  const clouds = [...new Set(apis.map((api) => api.cloud))];
  const [first, ...rest] = clouds.map((cloud) => accountSchema(cloud, familiesOf(cloud, apis)));
  if (first === undefined) throw new Error('no cloud API is registered');
  return z.strictObject({
    accounts: z.record(accountName, z.discriminatedUnion('cloud', [first, ...rest])),
    webhooks: webhooksField,
  });
}

/**
 * @param file as the user named it; a relative `credentials.file` or `caFile` is relative to its directory.
 * @throws InputError with every problem of the file. No value of it is quoted: it may be a secret in the wrong place.
 */
export function loadAccounts(file: string, apis: readonly CloudApi[]): Map<string, Account> {
  return accountsOf(readSource(file), apis);
}

/** The webhooks of the same file. @throws InputError as `loadAccounts`. */
export function loadWebhooks(file: string, apis: readonly CloudApi[]): Map<string, Webhook> {
  const source = readSource(file);
  const { data, problems } = parseWith(accountsSchema(apis), source, { quoteValues: false, unknownKey });
  if (data === null) throw new InputError(problems);
  return webhooksOf(data.webhooks, source.file);
}

/** @throws InputError as `loadAccounts`. */
export function accountsOf(source: Source, apis: readonly CloudApi[]): Map<string, Account> {
  const { data, problems } = parseWith(accountsSchema(apis), source, { quoteValues: false, unknownKey });
  if (data === null) throw new InputError(problems);

  const found: InputProblem[] = [];
  const accounts = new Map<string, Account>();
  for (const [name, entry] of Object.entries(data.accounts)) {
    const given = anyAccount.parse(entry);
    const allowPlainHttp = given.allowPlainHttp ?? false;
    const endpoints: Record<string, string> = {};
    for (const [family, text] of Object.entries(given.endpoints ?? {})) {
      const objection = endpointObjection(text, allowPlainHttp);
      if (objection === null) endpoints[family] = new URL(text).origin;
      else found.push(source.problem(['accounts', name, 'endpoints', family], objection.message, objection.remedy));
    }
    accounts.set(name, {
      name,
      cloud: given.cloud,
      region: given.region,
      projectId: given.projectId ?? '',
      credentials: credentialsSource(given, source.file),
      endpoints,
      allowPlainHttp,
      ...(given.caFile === undefined ? {} : { caFile: pathFrom(source.file, given.caFile) }),
      rates: { ...DEFAULT_RATES, ...given.rates },
      concurrency: given.concurrency ?? DEFAULT_CONCURRENCY,
      ...(given.queue === undefined ? {} : { queue: given.queue }),
    });
  }
  if (accounts.size === 0) found.push(source.problem(['accounts'], 'is empty', 'name at least one account'));
  if (found.length > 0) throw new InputError(found);
  return accounts;
}

/** Why a URL is no usable endpoint; `null` when it is one. The URL is never quoted: it may hold credentials. */
export function endpointObjection(text: string, allowPlainHttp: boolean): { message: string; remedy: string } | null {
  const remedy = 'use scheme, host and port only, as in https://ges.cn-north-4.myhuaweicloud.com';
  if (!URL.canParse(text)) return { message: 'is not an absolute URL', remedy };
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { message: 'is neither http nor https', remedy };
  if (url.username !== '' || url.password !== '') return { message: 'holds credentials', remedy: CREDENTIALS_REMEDY };
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return { message: 'has a path or query', remedy };
  if (url.protocol === 'http:' && !allowPlainHttp && !isLoopback(url.hostname)) {
    return { message: 'is plain http beyond loopback', remedy: 'use https, or set `allowPlainHttp: true`' };
  }
  return null;
}

/** Whether a URL's host name can only be this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function cloudOf(name: string) {
  return CLOUDS.find((cloud) => cloud.name === name);
}

/** The services of a cloud that an account reaches, each with an endpoint: the last one tells who the account is. */
function familiesOf(cloud: string, apis: readonly CloudApi[]): string[] {
  const families = apis.filter((api) => api.cloud === cloud).map((api) => api.family);
  const identity = cloudOf(cloud)?.identity;
  return [...new Set([...families, ...(identity === undefined ? [] : [identity.family])])];
}

function credentialsSource(given: z.infer<typeof anyAccount>, file: string): CredentialsSource {
  const path = given.credentials?.file;
  if (path !== undefined) return { kind: 'file', path: pathFrom(file, path) };
  const fallback = cloudOf(given.cloud)?.variables.prefix ?? given.cloud.toUpperCase().replaceAll('-', '_');
  return { kind: 'env', prefix: given.credentials?.env ?? fallback };
}

/** As written in `file`: relative to its directory, `~/` the home. */
function pathFrom(file: string, path: string): string {
  return resolve(dirname(file), path.replace(/^~(?=\/)/, homedir()));
}

const CREDENTIALS_REMEDY =
  'remove it; credentials come from the environment or a file: `credentials: { env: PREFIX }` or `{ file: path }`';

const unknownKey: UnknownKeyRemedy = (key) => {
  const word = key.toLowerCase().replaceAll(/[^a-z]/g, '');
  if (/^(ak|sk|accesskey|accesskeyid|apikey|privatekey)$|secret|passw|token/.test(word)) {
    return { message: 'a secret has no place in this file', remedy: CREDENTIALS_REMEDY };
  }
  return word === 'projectid' ? { message: 'this cloud has no projects', remedy: 'remove it' } : null;
};
