import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { alibaba } from '../../activities/clouds/alibaba/cloud.js';
import { AccountError } from '../../activities/clouds/errors.js';
import { huawei } from '../../activities/clouds/huawei/cloud.js';
import { Credentials, openCredentials } from '../../activities/credentials.js';
import type { Account, CredentialsSource } from '../../plan/accounts.js';

function account(credentials: CredentialsSource): Account {
  return {
    name: 'prod',
    cloud: 'huawei',
    region: 'cn-north-4',
    projectId: 'p1',
    credentials,
    endpoints: {},
    allowPlainHttp: false,
    rates: { reads: 5, writes: 1 },
    concurrency: 20,
  };
}

function problem(resolve: () => unknown): string {
  try {
    resolve();
  } catch (error) {
    expect(error).toBeInstanceOf(AccountError);
    const { message } = error as AccountError;
    expect(message).not.toContain('\n');
    return message;
  }
  throw new Error('nothing was refused');
}

describe('from the environment', () => {
  const env = {
    CLOUD_SDK_AK: 'ak1',
    CLOUD_SDK_SK: 'sk1',
    CLOUD_SDK_SECURITY_TOKEN: 'st1',
    ALIBABA_CLOUD_ACCESS_KEY_ID: 'ak2',
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'sk2',
    TEAM_AK: 'ak3\n',
    TEAM_SK: 'sk3',
    TEAM_ACCESS_KEY_ID: 'ak4',
    TEAM_ACCESS_KEY_SECRET: 'sk4',
    TEAM_SECURITY_TOKEN: '',
  };

  it.each([
    ['CLOUD_SDK', huawei, { accessKey: 'ak1', secretKey: 'sk1', securityToken: 'st1' }],
    ['', huawei, { accessKey: 'ak1', secretKey: 'sk1', securityToken: 'st1' }],
    ['ALIBABA_CLOUD', alibaba, { accessKey: 'ak2', secretKey: 'sk2', securityToken: null }],
    ['TEAM', huawei, { accessKey: 'ak3', secretKey: 'sk3', securityToken: null }],
    ['TEAM', alibaba, { accessKey: 'ak4', secretKey: 'sk4', securityToken: null }],
  ])('reads prefix "%s" (round %#)', (prefix, cloud, expected) => {
    const found = openCredentials(env, systemClock).resolve(account({ kind: 'env', prefix }), cloud.variables);
    expect(found.reveal()).toEqual({ kind: 'keys', keys: expected });
  });

  it('names the account, the variable and the remedy when one is missing', () => {
    const store = openCredentials({ TEAM_AK: 'ak' }, systemClock);
    const message = problem(() => store.resolve(account({ kind: 'env', prefix: 'TEAM' }), huawei.variables));
    expect(message).toContain('account prod');
    expect(message).toContain('TEAM_SK is not set');
    expect(message).toMatch(/\(set it where the worker runs/);
  });

  it('refuses a key that a header could not carry, without quoting it', () => {
    const store = openCredentials({ TEAM_AK: 'ak', TEAM_SK: 'abc\ndef' }, systemClock);
    const message = problem(() => store.resolve(account({ kind: 'env', prefix: 'TEAM' }), huawei.variables));
    expect(message).toContain('secretKey');
    expect(message).not.toContain('abc');
  });
});

describe('from a file', () => {
  let directory = '';
  let path = '';

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'uplift-credentials-'));
    path = join(directory, 'keys.yaml');
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  const write = (text: string, mode = 0o600): void => {
    writeFileSync(path, text);
    chmodSync(path, mode);
  };
  const resolve = (store = openCredentials({}, systemClock)) =>
    store.resolve(account({ kind: 'file', path }), huawei.variables);

  it.each([
    ['YAML', 'accessKey: ak\nsecretKey: sk\n', null],
    ['JSON', '{"accessKey":"ak","secretKey":"sk","securityToken":"st"}', 'st'],
  ])('reads %s', (_name, text, securityToken) => {
    write(text);
    expect(resolve().reveal()).toEqual({ kind: 'keys', keys: { accessKey: 'ak', secretKey: 'sk', securityToken } });
  });

  it.each([0o640, 0o604, 0o620, 0o602, 0o644, 0o666])('refuses a file of mode %o', (mode) => {
    write('accessKey: ak\nsecretKey: sk\n', mode);
    const message = problem(() => resolve());
    expect(message).toContain(`chmod 600 ${path}`);
    expect(message).toContain(`mode ${mode.toString(8)}`);
  });

  it('reads it again when it has changed, and refuses it when others can read it by then', () => {
    const store = openCredentials({}, systemClock);
    write('accessKey: ak1\nsecretKey: sk1\n');
    const first = resolve(store);
    expect(resolve(store)).toBe(first);
    write('accessKey: ak2\nsecretKey: sk2\n');
    const later = new Date(Date.now() + 5_000);
    utimesSync(path, later, later);
    expect(resolve(store).reveal()).toMatchObject({ keys: { accessKey: 'ak2' } });
    chmodSync(path, 0o644);
    expect(problem(() => resolve(store))).toContain('chmod 600');
  });

  it('names a file that is not there', () => {
    expect(problem(() => resolve())).toContain(`${path} cannot be read: ENOENT`);
  });

  it('names the field that is missing', () => {
    write('accessKey: ak\n');
    expect(problem(() => resolve())).toContain('has no secretKey');
  });

  it('quotes nothing of a file that it cannot parse', () => {
    write('accessKey: ak\nsecretKey: "s3cr3t\n');
    const message = problem(() => resolve());
    expect(message).toMatch(/keys\.yaml:\d+ is no YAML or JSON/);
    expect(message).not.toContain('s3cr3t');
  });
});

describe('Credentials', () => {
  const keys = { accessKey: 'AKIA-visible', secretKey: 's3cr3t/key+=', securityToken: 't0k3n==' };
  const credentials = new Credentials({ kind: 'keys', keys });

  it.each([
    ['JSON.stringify', () => JSON.stringify({ credentials })],
    ['util.inspect', () => inspect({ credentials })],
    ['util.inspect with everything', () => inspect(credentials, { showHidden: true, depth: 9, getters: true })],
    [
      'util.inspect without its own hook',
      () => inspect(credentials, { customInspect: false, showHidden: true, getters: true }),
    ],
    ['a template', () => `${String(credentials)}`],
    ['an error', () => inspect(new Error('failed', { cause: credentials }))],
    ['its own fields', () => Object.entries(credentials).join()],
    ['a copy', () => inspect(structuredClone(credentials))],
  ])('shows nothing to %s', (_name, show) => {
    for (const secret of Object.values(keys)) expect(show()).not.toContain(secret);
  });

  it('takes its keys out of a text, encoded or not', () => {
    const quoted = `string to sign: ${keys.securityToken} ${encodeURIComponent(keys.secretKey)} ${keys.accessKey}`;
    expect(credentials.redact(quoted)).toBe('string to sign: *** *** ***');
  });
});
