import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
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

describe('a login or a token', () => {
  const resolve = (env: Record<string, string>, cloud = huawei) =>
    openCredentials(env, systemClock).resolve(account({ kind: 'env', prefix: 'TEAM' }), cloud.variables);

  it('is read from the environment, blanks around a password kept', () => {
    const login = { TEAM_USER: 'me ', TEAM_PASSWORD: ' pass word \n', TEAM_DOMAIN: 'example' };
    expect(resolve(login).reveal()).toEqual({
      kind: 'login',
      login: { user: 'me', password: ' pass word ', domain: 'example' },
    });
    expect(resolve({ TEAM_TOKEN: 'MIIt0k3n' }).reveal()).toEqual({ kind: 'token', token: 'MIIt0k3n' });
  });

  it.each([
    [{ TEAM_USER: 'me', TEAM_PASSWORD: 'hunter2' }, 'environment variable TEAM_DOMAIN is not set'],
    [{ TEAM_DOMAIN: 'example' }, 'environment variable TEAM_USER is not set'],
    [{}, 'environment variable TEAM_AK is not set'],
    [
      { TEAM_AK: 'hunter2', TEAM_TOKEN: 'hunter2' },
      'environment variables TEAM_* hold access keys and a token (leave one of them only)',
    ],
    [{ TEAM_TOKEN: 'hunter2 hunter2' }, 'the token in environment variables TEAM_* has spaces'],
  ])('is refused as %j', (env, expected) => {
    const message = problem(() => resolve(env));
    expect(message).toContain(expected);
    expect(message).not.toContain('hunter2');
  });

  it('is nothing that Alibaba takes', () => {
    const message = problem(() => resolve({ TEAM_TOKEN: 'hunter2' }, alibaba));
    expect(message).toContain('TEAM_ACCESS_KEY_ID is not set');
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
    expect(message).toContain(`its mode is ${mode.toString(8)}`);
  });

  it('reads one of somebody else that its group may read, as Kubernetes mounts them', () => {
    write('accessKey: ak\nsecretKey: sk\n', 0o440);
    const self = process.geteuid?.() ?? 0;
    const asked = vi.spyOn(process, 'geteuid').mockReturnValue(self + 1);
    try {
      expect(resolve().reveal()).toMatchObject({ keys: { accessKey: 'ak', secretKey: 'sk' } });
    } finally {
      asked.mockRestore();
    }
    expect(problem(() => resolve())).toContain(`chmod 600 ${path}`);
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

  describe('that says when its keys end', () => {
    let now = Date.UTC(2026, 10, 21, 5, 0);
    const at = (time: string): void => {
      now = Date.parse(time);
    };
    const store = openCredentials({}, { now: () => now });
    const keys = (more: string): void => {
      write(`accessKey: ak\nsecretKey: sk\nsecurityToken: st\n${more}\n`);
    };

    it.each([
      ['ISO 8601', '2026-11-21T06:00:00Z'],
      ['IAM’s own text', "'2026-11-21T06:00:00.000000Z'"],
      ['another zone', '2026-11-21T07:00:00+01:00'],
      ['microseconds', String(Date.UTC(2026, 10, 21, 6) * 1000)],
      ['microseconds as text', `'${Date.UTC(2026, 10, 21, 6) * 1000}'`],
    ])('takes them until a minute before, by %s', (_name, end) => {
      keys(`expiresAt: ${end}`);
      at('2026-11-21T05:59:00Z');
      expect(resolve(store).reveal()).toMatchObject({ keys: { securityToken: 'st' } });
      at('2026-11-21T05:59:00.001Z');
      expect(problem(() => resolve(store))).toBe(
        `account prod: what credentials file ${path} holds ends at 2026-11-21T06:00:00.000Z, and it is ` +
          '2026-11-21T05:59:00.001Z (write new credentials there more than a minute before the old ones end)',
      );
    });

    it('reads it anew near the end, even where its time of change is the old one', () => {
      keys('expiresAt: 2026-11-21T06:00:00Z');
      at('2026-11-21T05:50:00Z');
      const then = new Date(Date.now() - 60_000);
      utimesSync(path, then, then);
      expect(resolve(store).reveal()).toMatchObject({ keys: { accessKey: 'ak' } });
      writeFileSync(path, 'accessKey: zz\nsecretKey: sk\nsecurityToken: st\nexpiresAt: 2026-11-21T09:00:00Z\n');
      utimesSync(path, then, then);
      expect(resolve(store).reveal()).toMatchObject({ keys: { accessKey: 'ak' } });
      at('2026-11-21T05:58:00Z');
      expect(resolve(store).reveal()).toMatchObject({ keys: { accessKey: 'zz' } });
    });

    it.each(['tomorrow', '2026-11-21T06:00:00', String(Date.UTC(2026, 10, 21, 6)), '{}', '2026-99-99T06:00:00Z'])(
      'refuses %s',
      (end) => {
        keys(`expiresAt: ${end}`);
        expect(problem(() => resolve(store))).toBe(
          `account prod: expiresAt in credentials file ${path} is no time ` +
            '(give it as 2026-11-21T05:26:00Z, or in microseconds since 1970)',
        );
      },
    );
  });

  it('may hold a login, or a token', () => {
    write('user: me\npassword: "pa: ss"\ndomain: example\n');
    expect(resolve().reveal()).toEqual({
      kind: 'login',
      login: { user: 'me', password: 'pa: ss', domain: 'example' },
    });
    write('token: t0k3n\n');
    expect(resolve().reveal()).toEqual({ kind: 'token', token: 't0k3n' });
    write('password: hunter2\n');
    expect(problem(() => resolve())).toContain(
      'has no user (it holds accessKey, secretKey; or user, password, domain;',
    );
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

  it.each([
    new Credentials({ kind: 'login', login: { user: 'me', password: 's3cr3t', domain: 'd' } }),
    new Credentials({ kind: 'token', token: 's3cr3t' }),
  ])('hides a password and a token as well (%#)', (secret) => {
    const shown = [JSON.stringify(secret), inspect(secret, { showHidden: true, customInspect: false }), String(secret)];
    expect(shown.join()).not.toContain('s3cr3t');
    expect(secret.redact('wrong: s3cr3t')).toBe('wrong: ***');
  });

  it('takes its keys out of a text, encoded or not', () => {
    const quoted = `string to sign: ${keys.securityToken} ${encodeURIComponent(keys.secretKey)} ${keys.accessKey}`;
    expect(credentials.redact(quoted)).toBe('string to sign: *** *** ***');
  });
});
