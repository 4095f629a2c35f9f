/** Where an account's keys come from. Only this file and the signers ever hold them. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { parseDocument } from 'yaml';
import type { Account } from '../plan/accounts.js';
import { AccountError } from './clouds/errors.js';

/** A key pair, with the session token that temporary keys have. */
export interface AccessKeys {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly securityToken: string | null;
}

/** Access keys that no printing, logging or serialising shows. */
export class Credentials {
  readonly kind = 'access-keys';
  readonly #keys: AccessKeys;

  constructor(keys: AccessKeys) {
    this.#keys = keys;
  }

  /** The keys themselves: for signing, and nothing else. */
  reveal(): AccessKeys {
    return this.#keys;
  }

  /** `text` without any of the keys: some clouds quote them in their error messages. */
  redact(text: string): string {
    const { accessKey, secretKey, securityToken } = this.#keys;
    let redacted = text;
    for (const secret of [secretKey, securityToken, accessKey]) {
      if (secret === null) continue;
      redacted = redacted.replaceAll(secret, '***').replaceAll(encodeURIComponent(secret), '***');
    }
    return redacted;
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

/** Environment variables of a cloud's keys, as its own tools name them. */
export interface CredentialVariables {
  /** `CLOUD_SDK` */
  readonly prefix: string;
  /** `AK`: joined to the prefix by `_`. */
  readonly accessKey: string;
  readonly secretKey: string;
  readonly securityToken: string;
}

export interface CredentialsStore {
  /**
   * The account's keys as they are now: a file is read again when it has changed.
   *
   * @throws AccountError naming account, variable or file, and the remedy.
   */
  resolve(account: Account, variables: CredentialVariables): Credentials;
}

interface CachedFile {
  readonly version: string;
  readonly credentials: Credentials;
}

export function openCredentials(env: Readonly<Record<string, string | undefined>>): CredentialsStore {
  const files = new Map<string, CachedFile>();
  return {
    resolve({ name, credentials: source }, variables) {
      if (source.kind === 'env') return fromEnvironment(name, source.prefix || variables.prefix, variables, env);
      const file = readCredentialsFile(name, source.path, files.get(source.path));
      files.set(source.path, file);
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
  const value = (variable: string): string => env[`${prefix}_${variable}`]?.trim() ?? '';
  const required = (variable: string): string => {
    const found = value(variable);
    if (found === '') {
      throw new AccountError(
        `account ${account}: environment variable ${prefix}_${variable} is not set ` +
          '(set it where the worker runs, or name another credentials source in the accounts file)',
      );
    }
    return found;
  };
  const keys = {
    accessKey: required(variables.accessKey),
    secretKey: required(variables.secretKey),
    securityToken: value(variables.securityToken) || null,
  };
  return checked(account, `environment variables ${prefix}_*`, keys);
}

function readCredentialsFile(account: string, path: string, cached: CachedFile | undefined): CachedFile {
  let handle: number;
  try {
    handle = openSync(path, 'r');
  } catch (error) {
    throw new AccountError(
      `account ${account}: credentials file ${path} cannot be read: ${codeOf(error)} (create it with mode 600)`,
    );
  }
  try {
    // Checked on the open file, so that it is the one that is read.
    const { mode, mtimeMs, size, ino } = fstatSync(handle);
    if ((mode & 0o077) !== 0) {
      throw new AccountError(
        `account ${account}: credentials file ${path} can be read or written by others ` +
          `(mode ${(mode & 0o777).toString(8)}; chmod 600 ${path})`,
      );
    }
    const version = `${ino}/${mtimeMs}/${size}`;
    if (cached?.version === version) return cached;
    return { version, credentials: parseCredentials(account, path, readFileSync(handle, 'utf8')) };
  } catch (error) {
    if (error instanceof AccountError) throw error;
    throw new AccountError(`account ${account}: credentials file ${path} cannot be read: ${codeOf(error)}`);
  } finally {
    closeSync(handle);
  }
}

/** JSON is YAML. The parser's own messages quote lines of the file, so they are never passed on. */
function parseCredentials(account: string, path: string, text: string): Credentials {
  const document = parseDocument(text, { prettyErrors: true });
  const problem = document.errors[0];
  if (problem !== undefined) {
    const line = problem.linePos?.[0].line ?? 1;
    throw new AccountError(`account ${account}: credentials file ${path}:${line} is no YAML or JSON (mend that line)`);
  }
  const found: unknown = document.toJS();
  const field = (name: keyof AccessKeys): string => {
    const value: unknown = typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined;
    return typeof value === 'string' ? value.trim() : '';
  };
  for (const name of ['accessKey', 'secretKey'] as const) {
    if (field(name) === '') {
      throw new AccountError(
        `account ${account}: credentials file ${path} has no ${name} ` +
          '(it holds accessKey, secretKey and optionally securityToken, all strings)',
      );
    }
  }
  const keys = {
    accessKey: field('accessKey'),
    secretKey: field('secretKey'),
    securityToken: field('securityToken') || null,
  };
  return checked(account, `credentials file ${path}`, keys);
}

function checked(account: string, source: string, keys: AccessKeys): Credentials {
  const printable = /^[\x21-\x7e]+$/;
  for (const name of ['accessKey', 'secretKey', 'securityToken'] as const) {
    if (keys[name] !== null && !printable.test(keys[name])) {
      throw new AccountError(
        `account ${account}: the ${name} in ${source} has spaces, line breaks or other characters that no key has ` +
          '(copy it again)',
      );
    }
  }
  return new Credentials(keys);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
}
