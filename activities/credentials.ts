/** Where an account's secrets come from. Only this file, logins and the signers ever hold them. */
import { inspect } from 'node:util';
import { parseDocument } from 'yaml';
import type { Account } from '../plan/accounts.js';
import { readSecret, secretVersion } from '../temporal/secret-file.js';
import { iso, type Clock } from './clock.js';
import { AccountError } from './clouds/errors.js';
import { keepPassingSecret, keepSecret } from './secrets.js';

/** A key pair, with the session token that temporary keys have. */
export interface AccessKeys {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly securityToken: string | null;
}

/** What a token is given out for. */
export interface Login {
  readonly user: string;
  readonly password: string;
  /** The account that the user belongs to, as its cloud names it. */
  readonly domain: string;
}

/** What an account proves its identity by. */
export type Secret =
  | { readonly kind: 'keys'; readonly keys: AccessKeys }
  | { readonly kind: 'login'; readonly login: Login }
  | { readonly kind: 'token'; readonly token: string };

/** A secret that no printing, logging or serialising shows. */
export class Credentials {
  readonly #secret: Secret;
  readonly #confidential: readonly string[];
  /** As it is, and as in a URL. */
  readonly #spellings: readonly string[];

  constructor(secret: Secret) {
    this.#secret = secret;
    this.#confidential = confidentialOf(secret);
    this.#keep();
    this.#spellings = [...new Set(this.#confidential.flatMap((text) => [text, encodeURIComponent(text)]))];
  }

  /** The secret itself: for signing and logging in, and nothing else. */
  reveal(): Secret {
    // What is in use is not forgotten.
    this.#keep();
    return this.#secret;
  }

  #keep(): void {
    this.#confidential.forEach(isPassing(this.#secret) ? keepPassingSecret : keepSecret);
  }

  equals(other: Credentials): boolean {
    return JSON.stringify(this.#secret) === JSON.stringify(other.#secret);
  }

  /** `text` without the secret: some clouds quote it in their error messages. */
  redact(text: string): string {
    return this.#spellings.reduce((redacted, secret) => redacted.replaceAll(secret, '***'), text);
  }

  toJSON(): string {
    return '[credentials]';
  }

  toString(): string {
    return '[credentials]';
  }

  [inspect.custom](): string {
    return '[credentials]';
  }
}

function confidentialOf(secret: Secret): readonly string[] {
  switch (secret.kind) {
    case 'keys': {
      const { accessKey, secretKey, securityToken } = secret.keys;
      return [secretKey, ...(securityToken === null ? [] : [securityToken]), accessKey];
    }
    case 'login':
      return [secret.login.password];
    case 'token':
      return [secret.token];
  }
}

/** Given out for hours, and replaced by others for as long as the process lives. */
function isPassing(secret: Secret): boolean {
  return secret.kind === 'token' || (secret.kind === 'keys' && secret.keys.securityToken !== null);
}

type Field = keyof AccessKeys | keyof Login | 'token';

/** Environment variables of a cloud's secrets, as its own tools name them: what it has none for, it does not take. */
export interface CredentialVariables extends Partial<Readonly<Record<Field, string>>> {
  /** `CLOUD_SDK` */
  readonly prefix: string;
  /** `AK`: joined to the prefix by `_`. */
  readonly accessKey: string;
  readonly secretKey: string;
}

export interface CredentialsStore {
  /**
   * The account's secret as it is now: a file is read again when it has changed, and before what it holds expires.
   *
   * @throws AccountError naming account, variable or file, and the remedy.
   */
  resolve(account: Account, variables: CredentialVariables): Credentials;
}

/** What is needed of each kind; one of these fields alone tells the kind. */
const NEEDED = {
  keys: ['accessKey', 'secretKey'],
  login: ['user', 'password', 'domain'],
  token: ['token'],
} as const satisfies Record<Secret['kind'], readonly Field[]>;
const KINDS = Object.keys(NEEDED) as Secret['kind'][];
const NAMES: Record<Secret['kind'], string> = {
  keys: 'access keys',
  login: 'a user with password and domain',
  token: 'a token',
};

/** Sooner than this before its end nothing is begun with it. */
const LAST_MS = 60_000;
/** From then on a file is read at each call, whatever its time of change says. */
const WATCHED_MS = 5 * 60_000;

interface CachedFile {
  readonly version: string;
  readonly credentials: Credentials;
  /** Epoch ms; `null` for what does not expire by itself. */
  readonly expiresAt: number | null;
}

export function openCredentials(
  env: Readonly<Record<string, string | undefined>>,
  clock: Pick<Clock, 'now'>,
): CredentialsStore {
  const files = new Map<string, CachedFile>();
  return {
    resolve({ name, credentials: source }, variables) {
      if (source.kind === 'env') return fromEnvironment(name, source.prefix || variables.prefix, variables, env);
      const { path } = source;
      const known = files.get(path);
      const isEnding = known?.expiresAt != null && known.expiresAt - clock.now() < WATCHED_MS;
      const file = readCredentialsFile(name, path, variables, isEnding ? undefined : known);
      files.set(path, file);
      if (file.expiresAt !== null && file.expiresAt - clock.now() < LAST_MS) {
        throw new AccountError(
          `account ${name}: what credentials file ${path} holds ends at ${iso(file.expiresAt)}, and it is ` +
            `${iso(clock.now())} (write new credentials there more than a minute before the old ones end)`,
        );
      }
      return file.credentials;
    },
  };
}

function fromEnvironment(
  account: string,
  prefix: string,
  variables: CredentialVariables,
  env: Readonly<Record<string, string | undefined>>,
): Credentials {
  const variable = (field: Field): string => `${prefix}_${variables[field] ?? ''}`;
  return credentialsOf({
    account,
    source: `environment variables ${prefix}_*`,
    kinds: kindsOf(variables),
    // A password may begin or end with a blank.
    value: (field) => {
      const found = variables[field] === undefined ? '' : (env[variable(field)] ?? '');
      return field === 'password' ? found.replace(/\r?\n$/, '') : found.trim();
    },
    missing: (field) =>
      `account ${account}: environment variable ${variable(field)} is not set ` +
      '(set it where the worker runs, or name another credentials source in the accounts file)',
  });
}

/** A cloud takes the kinds that it has variables for. */
function kindsOf(variables: CredentialVariables): Secret['kind'][] {
  return KINDS.filter((kind) => NEEDED[kind].every((field) => variables[field] !== undefined));
}

function readCredentialsFile(
  account: string,
  path: string,
  variables: CredentialVariables,
  cached: CachedFile | undefined,
): CachedFile {
  // Asked before each call to a cloud.
  if (cached !== undefined && cached.version === secretVersion(path)) return cached;
  const { text, version } = readSecret(
    path,
    (problem, remedy) => new AccountError(`account ${account}: credentials file ${path} ${problem} (${remedy})`),
  );
  return { version, ...parseCredentials(account, path, variables, text) };
}

/** JSON is YAML. The parser's own messages quote lines of the file, so they are never passed on. */
function parseCredentials(
  account: string,
  path: string,
  variables: CredentialVariables,
  text: string,
): Pick<CachedFile, 'credentials' | 'expiresAt'> {
  const document = parseDocument(text, { prettyErrors: true });
  const problem = document.errors[0];
  if (problem !== undefined) {
    const line = problem.linePos?.[0].line ?? 1;
    throw new AccountError(`account ${account}: credentials file ${path}:${line} is no YAML or JSON (mend that line)`);
  }
  const found: unknown = document.toJS();
  const field = (name: string): unknown =>
    typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined;

  const kinds = kindsOf(variables);
  const forms = kinds.map((kind) => NEEDED[kind].join(', ')).join('; or ');
  const credentials = credentialsOf({
    account,
    source: `credentials file ${path}`,
    kinds,
    value: (name) => {
      const value = field(name);
      return typeof value !== 'string' ? '' : name === 'password' ? value : value.trim();
    },
    missing: (name) =>
      `account ${account}: credentials file ${path} has no ${name} ` +
      `(it holds ${forms}; with temporary keys securityToken and expiresAt too; all of them text)`,
  });
  const end = field('expiresAt');
  const expiresAt = end === undefined || end === null ? null : instantOf(end);
  if (Number.isNaN(expiresAt)) {
    throw new AccountError(
      `account ${account}: expiresAt in credentials file ${path} is no time ` +
        '(give it as 2026-11-21T05:26:00Z, or in microseconds since 1970)',
    );
  }
  return { credentials, expiresAt };
}

/** Epoch ms of ISO 8601 with a zone, or of microseconds since the epoch; NaN for anything else. */
function instantOf(value: unknown): number {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : '';
  // Fewer digits are seconds or milliseconds, and would end in 1970.
  if (/^\d{15,17}$/.test(text)) return Math.floor(Number(text) / 1000);
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
}

interface Given {
  readonly account: string;
  /** As messages name it. */
  readonly source: string;
  readonly kinds: readonly Secret['kind'][];
  /** Empty for what is not there. */
  readonly value: (field: Field) => string;
  readonly missing: (field: Field) => string;
}

/** @throws AccountError for what is missing, ambiguous or cannot be right */
function credentialsOf({ account, source, kinds, value, missing }: Given): Credentials {
  const given = kinds.filter((kind) => NEEDED[kind].some((field) => value(field) !== ''));
  if (given.length > 1) {
    const names = given.map((kind) => NAMES[kind]).join(' and ');
    throw new AccountError(`account ${account}: ${source} hold ${names} (leave one of them only)`);
  }
  const kind = given[0] ?? 'keys';
  const lacking = NEEDED[kind].find((field) => value(field) === '');
  if (lacking !== undefined) throw new AccountError(missing(lacking));

  const printable = (field: Field): string => {
    const text = value(field);
    if (/^[\x21-\x7e]*$/.test(text)) return text;
    throw new AccountError(
      `account ${account}: the ${field} in ${source} has spaces, line breaks or other characters that it cannot have ` +
        '(copy it again)',
    );
  };
  switch (kind) {
    case 'keys': {
      const keys = { accessKey: printable('accessKey'), secretKey: printable('secretKey') };
      return new Credentials({ kind, keys: { ...keys, securityToken: printable('securityToken') || null } });
    }
    case 'login':
      return new Credentials({
        kind,
        login: { user: value('user'), password: value('password'), domain: value('domain') },
      });
    case 'token':
      return new Credentials({ kind, token: printable('token') });
  }
}
