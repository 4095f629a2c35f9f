/** Tokens, project ids and temporary keys, against the simulated IAM and against one that misbehaves. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MockActivityEnvironment } from '@temporalio/testing';
import { stringify } from 'yaml';
import { answerOf } from '../../activities/answer.js';
import { AccountError, CloudError } from '../../activities/clouds/errors.js';
import { huawei } from '../../activities/clouds/huawei/cloud.js';
import { dcs } from '../../activities/clouds/huawei/dcs.js';
import { gesV2 } from '../../activities/clouds/huawei/ges-v2.js';
import type { CloudApi, ErrorClass } from '../../activities/clouds/port.js';
import { openSessions, type Sessions } from '../../activities/clouds/sessions.js';
import { submit } from '../../activities/submit.js';
import { createTransport, type HttpCall, type Transport } from '../../activities/transport.js';
import type { Account } from '../../plan/accounts.js';
import { DEMO_PROJECT } from '../../simulator/inventory.js';
import type { SubmitInput, SubmitResult } from '../../workflows/contracts/steps.js';
import { ManualClock } from '../simulator/clients.js';
import { CLOUD_ENV, LOGIN, SECRETS, simulatedClouds, type Clouds } from '../support/clouds.js';
import { accountAt, startFakeCloud, type FakeCloud } from './fake-cloud.js';

const REGION = 'eu-west-101';
const HOUR = 3_600_000;
const bounds = { sendBy: Number.POSITIVE_INFINITY, timeoutMs: 5_000 };
const KEY_ENV = { KEYS_AK: CLOUD_ENV.CLOUD_SDK_AK, KEYS_SK: CLOUD_ENV.CLOUD_SDK_SK };
const LOGIN_ENV = { LOGIN_USER: LOGIN.user, LOGIN_PASSWORD: LOGIN.password, LOGIN_DOMAIN: LOGIN.domain };

let clock: ManualClock;
let directory: string;
let transports: Transport[];
/** What was asked, and every token and line that came out. */
let asked: string[];
let tokens: Set<string>;
let lines: string[];
/** What happens right before a send. */
let beforeSend: () => void;

beforeEach(() => {
  clock = new ManualClock();
  directory = mkdtempSync(join(tmpdir(), 'uplift-iam-'));
  transports = [];
  asked = [];
  tokens = new Set();
  lines = [];
  beforeSend = () => {};
});
afterEach(async () => {
  await Promise.all(transports.map((transport) => transport.close()));
  rmSync(directory, { recursive: true });
});

/** Sessions of one account `hw`, whose calls are noted. */
function open(url: string, more: Partial<Account>, env: Record<string, string> = {}): Sessions {
  const transport = createTransport({ clock });
  transports.push(transport);
  const note = (call: HttpCall): void => {
    asked.push(`${call.method} ${call.path.replace(/\?.*/, '')}`);
    const token = call.headers['x-auth-token'];
    if (token !== undefined) tokens.add(token);
  };
  const noted: Transport = {
    ...transport,
    read: (call) => {
      note(call);
      return transport.read(call);
    },
    send: (call, sendBy) => {
      note(call);
      beforeSend();
      return transport.send(call, sendBy);
    },
  };
  const account = accountAt(url, 'huawei', {
    region: REGION,
    projectId: DEMO_PROJECT,
    endpoints: { ges: url, dcs: url, iam: url },
    ...more,
  });
  return openSessions({
    accounts: new Map([[account.name, account]]),
    clock,
    transport: noted,
    env: { ...KEY_ENV, ...LOGIN_ENV, ...env },
    log: (line) => lines.push(line),
  });
}

const byLogin = { credentials: { kind: 'env', prefix: 'LOGIN' } } as const;
const byKeys = { credentials: { kind: 'env', prefix: 'KEYS' } } as const;

async function failureOf(doing: Promise<unknown>): Promise<Error> {
  const error: unknown = await doing.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof AccountError || error instanceof CloudError)) throw new Error('nothing failed as it should');
  expect(error.message).not.toContain('\n');
  return error;
}

function credentialsFile(fields: Record<string, unknown>): Pick<Account, 'credentials'> {
  const path = join(directory, 'credentials.yaml');
  rmSync(path, { force: true });
  writeFileSync(path, stringify(fields), { mode: 0o600 });
  return { credentials: { kind: 'file', path } };
}

describe('against the simulated IAM', () => {
  let clouds: Clouds;
  let ids: string[];

  beforeEach(async () => {
    clouds = await simulatedClouds({ clock, graphs: 20, durationMs: { min: 600_000, max: 600_000 } });
    ids = clouds.simulator.inventory.now().map(({ id }) => id);
  });
  afterEach(() => clouds.close());

  const url = (): string => clouds.simulator.url;
  const describeOne = async (sessions: Sessions, id = ids[0] ?? ''): Promise<string> =>
    (await gesV2.describe(await sessions.reader(gesV2, 'hw'), id)).id;
  const describeAll = (sessions: Sessions): Promise<string[]> =>
    Promise.all(ids.map((id) => describeOne(sessions, id)));
  const logins = (): number => clouds.simulator.truth().logins['huawei'] ?? 0;
  const count = (call: string): number => asked.filter((one) => one === call).length;

  it('sends a token in place of a signature, and logs in once for all', async () => {
    const sessions = open(url(), byLogin);
    expect(await describeAll(sessions)).toEqual(ids);
    expect(logins()).toBe(1);
    expect(tokens.size).toBe(1);
    expect(clouds.simulator.truth()).toMatchObject({ signatureFailures: {}, violations: [], unknownPaths: {} });
  });

  it('renews a revoked token silently, once for all who wait', async () => {
    const sessions = open(url(), byLogin);
    await describeAll(sessions);
    const revoked = await fetch(`${url()}/_simulator/revoke-tokens`, { method: 'POST' });
    expect(await revoked.json()).toEqual({ revoked: 1 });

    expect(await describeAll(sessions)).toEqual(ids);
    const { signatureFailures } = clouds.simulator.truth();
    console.log(
      `${ids.length} reads with a revoked token: refused ${JSON.stringify(signatureFailures)}, ` +
        `logins ${logins()}, tokens ${tokens.size}; log: ${lines.join(' | ')}`,
    );
    expect(signatureFailures).toEqual({ 'APIGW.0307': ids.length });
    expect(logins()).toBe(2);
    expect(tokens.size).toBe(2);
    expect(lines).toEqual([expect.stringContaining('account hw: its token of ')]);
  });

  it('renews a token before it ends, unrefused', async () => {
    const sessions = open(url(), byLogin);
    await describeOne(sessions);
    clock.advance(23 * HOUR + 49 * 60_000);
    await describeOne(sessions);
    expect(logins()).toBe(1);
    clock.advance(2 * 60_000);
    await describeAll(sessions);
    expect(logins()).toBe(2);
    expect(clouds.simulator.truth().signatureFailures).toEqual({});
  });

  it('lets a caller go who is cancelled while it logs in, and serves the others', async () => {
    const sessions = open(url(), byLogin);
    const controller = new AbortController();
    const reader = await sessions.reader(gesV2, 'hw', { signal: controller.signal });
    const cancelled = gesV2.describe(reader, ids[0] ?? '');
    const waiting = describeOne(sessions);
    const reason = new Error('cancelled');
    controller.abort(reason);
    await expect(cancelled).rejects.toBe(reason);
    expect(await waiting).toBe(ids[0]);
    expect(logins()).toBe(1);
  });

  it('takes a refused submit for one that was not sent, and renews for the next', async () => {
    const sessions = open(url(), byLogin);
    const [id = ''] = ids;
    await describeOne(sessions, id);
    clouds.simulator.iam.revokeTokens();
    const sender = await sessions.sender(gesV2, 'hw');
    const target = { version: '9.9.9', forceUpgrade: false };
    const submit = () => sender.send(gesV2.submission({ projectId: DEMO_PROJECT }, id, target, 'token'), bounds);

    const first = await submit();
    expect(first).toMatchObject({ kind: 'answered', response: { status: 401 } });
    expect(answerOf(gesV2, first, id)).toMatchObject({ kind: 'not-sent' });
    expect(count(`POST /v2/${DEMO_PROJECT}/graphs/${id}/upgrade`)).toBe(1);
    expect(answerOf(gesV2, await submit(), id)).toMatchObject({ kind: 'accepted' });
    expect(clouds.simulator.truth().perResource[id]?.accepted).toBe(1);
    expect(logins()).toBe(2);
  });

  it('submits once when the token is revoked between the look and the send', async () => {
    const deps = { ...clouds.deps, sessions: open(url(), { ...byLogin, name: 'huawei' }) };
    const [spec] = clouds.specs('ges');
    if (spec === undefined) throw new Error('no graph');
    const input: SubmitInput = {
      rollout: 'r',
      rolloutRun: 'run',
      spec,
      timing: { scale: 1 },
      expectedVersion: null,
      knownOperations: [],
      submission: 1,
      unresolvedSince: null,
      startedAt: new Date(clock.now()).toISOString(),
    };
    const attempt = (): Promise<SubmitResult> =>
      new MockActivityEnvironment({ scheduledTimestampMs: Date.now() }).run(() => submit(deps, input));
    beforeSend = () => clouds.simulator.iam.revokeTokens();
    expect(await attempt()).toMatchObject({ verdict: 'deferred', calls: [{ answer: 'not-sent', status: 401 }] });
    beforeSend = () => {};
    expect(await attempt()).toMatchObject({ verdict: 'submitted', calls: [{ answer: 'accepted' }] });
    expect(clouds.simulator.truth().submits).toHaveLength(1);
    expect(logins()).toBe(2);
  });

  it('does not try a refused password again before an hour has passed, or it has changed', async () => {
    const wrong = { user: LOGIN.user, password: 'SECRET-wrong-1', domain: LOGIN.domain };
    const sessions = open(url(), credentialsFile(wrong));
    const refused = (): number => clouds.simulator.truth().refusedLogins['example/upgrader'] ?? 0;
    const errors = await Promise.all(ids.map((id) => failureOf(describeOne(sessions, id))));
    for (const error of errors) expect(error).toBeInstanceOf(AccountError);
    const [, until = ''] = /no more logins until (\S+),/.exec(errors[0]?.message ?? '') ?? [];
    expect(until).toMatch(/^2026-11-21T06:26:00/);
    expect(errors[0]?.message).toBe(
      'account hw: its login is refused: POST /v3/auth/tokens: HTTP 401 The username or password is wrong.; no more ' +
        `logins until ${until}, since repeated ones would lock the user ` +
        '(correct user, password and domain where the worker gets them)',
    );
    expect(refused()).toBe(1);
    const sender = await sessions.sender(gesV2, 'hw');
    const request = gesV2.submission({ projectId: DEMO_PROJECT }, 'g1', { version: '9.9.9', forceUpgrade: false }, 't');
    expect(await sender.send(request, bounds)).toMatchObject({ kind: 'not-sent', reason: errors[0]?.message });

    clock.advance(Date.parse(until) - clock.now() - 1_000);
    await failureOf(describeOne(sessions));
    expect(refused()).toBe(1);
    clock.advance(1_001);
    await failureOf(describeOne(sessions));
    expect(refused()).toBe(2);

    credentialsFile({ ...LOGIN });
    expect(await describeOne(sessions)).toBe(ids[0]);
    expect(refused()).toBe(2);
    expect([...lines, ...errors.map(({ message }) => message)].join()).not.toMatch(/SECRET/);
  });

  it('is locked out by what the pause prevents', async () => {
    const path = '/v3/auth/tokens?nocatalog=true';
    const login = async (password: string): Promise<number> => {
      const { body } = huawei.identity?.login({ ...LOGIN, password }, { projectId: DEMO_PROJECT, region: '' }) ?? {};
      return (await fetch(url() + path, { method: 'POST', body: JSON.stringify(body) })).status;
    };
    for (let time = 0; time < 5; time += 1) expect(await login('wrong')).toBe(401);
    expect(await login(LOGIN.password)).toBe(401);
    clock.advance(15 * 60_000);
    expect(await login(LOGIN.password)).toBe(201);
  });

  it.each([
    ['keys', byKeys, 0],
    ['a login', byLogin, 1],
  ] as const)('looks the project id up by the name of the region, once, with %s', async (_name, source, expected) => {
    const sessions = open(url(), { ...source, projectId: '' });
    const readers = await Promise.all(ids.map(() => sessions.reader(gesV2, 'hw')));
    expect(new Set(readers.map(({ projectId }) => projectId))).toEqual(new Set([DEMO_PROJECT]));
    expect(await describeAll(sessions)).toEqual(ids);
    expect(count('GET /v3/projects')).toBe(1);
    expect(logins()).toBe(expected);
    expect(clouds.simulator.truth()).toMatchObject({ signatureFailures: {}, unknownPaths: {} });
  });

  it('says so when no project has the name of the region', async () => {
    const error = await failureOf(open(url(), { ...byKeys, projectId: '', region: 'cn-north-4' }).reader(gesV2, 'hw'));
    expect(error).toBeInstanceOf(AccountError);
    expect(error.message).toBe('account hw: no project is named cn-north-4 (set its projectId in the accounts file)');
  });

  it('takes a ready-made token, and says that it cannot renew one', async () => {
    const first = open(url(), byLogin);
    await describeOne(first);
    const [token = ''] = tokens;
    const sessions = open(url(), credentialsFile({ token }));
    expect(await describeOne(sessions)).toBe(ids[0]);

    clouds.simulator.iam.revokeTokens();
    const error = await failureOf(describeOne(sessions));
    expect(error).toMatchObject({ errorClass: 'token', code: 'APIGW.0307' });
    expect(error.message).toContain('account hw has a ready-made token, which cannot be renewed from here');
    expect(error.message).not.toContain(token);
    await describeOne(first);
    credentialsFile({ token: [...tokens][1] });
    expect(await describeOne(sessions)).toBe(ids[0]);
    expect(logins()).toBe(2);
  });

  it('uses temporary keys as long as they live, and their successors from the same file', async () => {
    await describeOne(open(url(), byLogin));
    const issue = async (): Promise<Record<string, unknown>> => {
      const identity = { methods: ['token'], token: { duration_seconds: 900 } };
      const answer = await fetch(`${url()}/v3.0/OS-CREDENTIAL/securitytokens`, {
        method: 'POST',
        headers: { 'x-auth-token': [...tokens][0] ?? '', 'content-type': 'application/json' },
        body: JSON.stringify({ auth: { identity } }),
      });
      expect(answer.status).toBe(201);
      const { credential } = (await answer.json()) as { credential: Record<string, string> };
      const { access, secret, securitytoken, expires_at } = credential;
      return { accessKey: access, secretKey: secret, securityToken: securitytoken, expiresAt: expires_at };
    };
    const source = credentialsFile(await issue());
    const sessions = open(url(), source);
    asked = [];
    expect(await describeOne(sessions)).toBe(ids[0]);
    clock.advance(14 * 60_000 - 10_000);
    expect(await describeOne(sessions)).toBe(ids[0]);
    clock.advance(20_000);
    const before = asked.length;
    const error = await failureOf(describeOne(sessions));
    expect(error).toBeInstanceOf(AccountError);
    expect(error.message).toMatch(
      /^account hw: what credentials file \S+ holds ends at 2026-11-21T05:41:00\.000Z, and it is 2026-11-21T05:40:1\d\.\d{3}Z \(write new credentials there more than a minute before the old ones end\)$/,
    );
    expect(asked).toHaveLength(before);

    credentialsFile(await issue());
    expect(await describeOne(sessions)).toBe(ids[0]);
    expect(clouds.simulator.truth().signatureFailures).toEqual({});
  });

  it('shows neither password nor token to anybody', async () => {
    const sessions = open(url(), byLogin);
    await describeOne(sessions);
    clouds.simulator.iam.revokeTokens();
    await describeOne(sessions);
    const { reader, sender } = {
      reader: await sessions.reader(gesV2, 'hw'),
      sender: await sessions.sender(gesV2, 'hw'),
    };
    const error = await failureOf(describeOne(open(url(), byLogin, { LOGIN_PASSWORD: 'SECRET-wrong-2' })));
    const shown = [
      ...[sessions, reader, sender, error].map((thing) =>
        inspect(thing, { depth: 20, showHidden: true, getters: true, customInspect: false }),
      ),
      JSON.stringify([sessions, reader, sender, error]),
      JSON.stringify(clouds.simulator.truth()),
      ...lines,
    ].join('\n');
    expect(tokens.size).toBe(2);
    for (const secret of [...tokens, ...Object.values(SECRETS), 'SECRET-wrong-2']) expect(shown).not.toContain(secret);
  });
});

describe('against an IAM that misbehaves', () => {
  const login = 'POST /v3/auth/tokens';
  const path = 'GET /v2/p1/graphs/g1';
  const graph = {
    graph: { id: 'g1', name: 'g', status: '200', data_store_version: '2.4.1', graph_tags: [], tags: [] },
  };
  let cloud: FakeCloud;
  let sessions: Sessions;

  beforeEach(async () => {
    cloud = await startFakeCloud();
    sessions = open(cloud.url, { ...byLogin, projectId: 'p1' });
  });
  afterEach(() => cloud.close());

  const issue = (token: string) => ({
    status: 201,
    headers: { 'x-subject-token': token },
    body: { token: { issued_at: '2026-11-21T05:26:00.000000Z', expires_at: '2026-11-22T05:26:00.000000Z' } },
  });
  const read = async (api: CloudApi = gesV2): Promise<unknown> => api.describe(await sessions.reader(api, 'hw'), 'g1');
  const times = (call: string): number => asked.filter((one) => one === call).length;
  const mustRenew = { status: 401, body: { error_code: 'APIGW.0307', error_msg: 'The token must be updated.' } };

  it('asks as documented', async () => {
    cloud.answers[login] = issue('T1');
    cloud.answers[path] = { body: graph };
    await read();
    const [first, second] = cloud.seen;
    expect(first?.query.toString()).toBe('nocatalog=true');
    expect(first?.headers).not.toHaveProperty('authorization');
    expect(JSON.parse(first?.body ?? '')).toEqual({
      auth: {
        identity: {
          methods: ['password'],
          password: { user: { domain: { name: LOGIN.domain }, name: LOGIN.user, password: LOGIN.password } },
        },
        scope: { project: { id: 'p1' } },
      },
    });
    expect(second?.headers).toMatchObject({ 'x-auth-token': 'T1', 'x-project-id': 'p1' });
    expect(second?.headers).not.toHaveProperty('authorization');
  });

  it.each([
    ['is down', { status: 503, body: '' }, 'HTTP 503'],
    ['answers HTML', { status: 401, body: '<html>' }, 'HTTP 401'],
    ['throttles', { status: 429, body: { error_code: 'APIGW.0308', error_msg: 'limit' } }, 'HTTP 429 limit'],
    ['gives out no token', { status: 201, body: issue('').body }, 'HTTP 201 without a token'],
    [
      'gives out one that has ended',
      { ...issue('T1'), body: { token: { issued_at: '2026-11-21T05:26:00Z', expires_at: '2026-11-21T05:26:00Z' } } },
      'HTTP 201 without a token',
    ],
    ['gives no times', { status: 201, headers: { 'x-subject-token': 'T1' }, body: {} }, 'HTTP 201 without a token'],
  ])('may be asked again, later, when it %s', async (_name, answer, said) => {
    cloud.answers[login] = answer;
    cloud.answers[path] = { body: graph };
    const errors = await Promise.all([failureOf(read()), failureOf(read()), failureOf(read())]);
    await failureOf(read());
    expect(errors[0]).toBeInstanceOf(CloudError);
    expect(errors[0]?.message).toContain(`POST /v3/auth/tokens: ${said}`);
    expect(times(login)).toBe(1);
    expect(times(path)).toBe(0);

    cloud.answers[login] = issue('T1');
    clock.advance(10_000);
    await read();
    expect(times(login)).toBe(2);
  });

  it('goes on with the token there is, to its end, while it is down', async () => {
    cloud.answers[login] = issue('T1');
    cloud.answers[path] = { body: graph };
    await read();
    cloud.answers[login] = { status: 503, body: '' };
    clock.advance(24 * HOUR - 60_000);
    await read();
    expect(times(login)).toBe(2);
    clock.advance(60_000);
    expect(await failureOf(read())).toMatchObject({ errorClass: 'transient' });
    expect(times(path)).toBe(2);
    expect([...tokens]).toEqual(['T1']);
  });

  it('does not send a submit while it is down', async () => {
    cloud.answers[login] = { status: 503, body: '' };
    const request = gesV2.submission({ projectId: 'p1' }, 'g1', { version: '9.9.9', forceUpgrade: false }, 't');
    const sent = await (await sessions.sender(gesV2, 'hw')).send(request, bounds);
    expect(sent).toMatchObject({ kind: 'not-sent', retryInMs: 10_000 });
    expect(asked).toEqual([login]);
  });

  it('says that a renewed token was refused as well, and stops renewing', async () => {
    cloud.answers[login] = () => issue(`T${times(login)}`);
    cloud.answers[path] = mustRenew;
    const error = await failureOf(read());
    console.log(error.message);
    expect(error).toMatchObject({ errorClass: 'token', code: 'APIGW.0307' });
    expect(error.message).toContain('the token was renewed 0 s ago, so another would be refused as well');
    expect(times(login)).toBe(2);
    expect(times(path)).toBe(2);
    await failureOf(read());
    expect(times(login)).toBe(2);

    clock.advance(60_000);
    cloud.answers[path] = ({ headers }) => (headers['x-auth-token'] === 'T3' ? { body: graph } : mustRenew);
    await read();
    expect(times(login)).toBe(3);
  });

  describe('a 401 without a code of its own', () => {
    const BODIES = {
      JSON: { message: 'Unauthorized' },
      'an HTML page': '<html>401</html>',
      nothing: '',
      'its status for a code': { error: { code: 401, message: 'requires authentication' } },
    };
    /** What it is taken for, and how many calls and logins that costs. */
    it.each<[keyof typeof BODIES, 'a login' | 'a ready-made token' | 'keys', ErrorClass, number, number]>([
      ['JSON', 'a login', 'token', 2, 2],
      ['an HTML page', 'a login', 'token', 2, 2],
      ['nothing', 'a login', 'token', 2, 2],
      ['its status for a code', 'a login', 'token', 2, 2],
      ['JSON', 'a ready-made token', 'token', 2, 0],
      ['an HTML page', 'a ready-made token', 'token', 2, 0],
      ['JSON', 'keys', 'denied', 1, 0],
      ['an HTML page', 'keys', 'transient', 1, 0],
      ['nothing', 'keys', 'transient', 1, 0],
      ['its status for a code', 'keys', 'denied', 1, 0],
    ])('%s, to %s, is %s', async (body, proof, errorClass, calls, logins) => {
      if (proof === 'keys') sessions = open(cloud.url, { ...byKeys, projectId: 'p1' });
      if (proof === 'a ready-made token') {
        const credentials = { kind: 'env', prefix: 'MADE' } as const;
        sessions = open(cloud.url, { credentials, projectId: 'p1' }, { MADE_TOKEN: 'made-elsewhere' });
      }
      cloud.answers[login] = () => issue(`T${times(login)}`);
      cloud.answers[path] = { status: 401, body: BODIES[body] };
      expect(await failureOf(read())).toMatchObject({ errorClass, status: 401 });
      expect([times(path), times(login)]).toEqual([calls, logins]);
    });

    it('is no matter of the token at 403', async () => {
      cloud.answers[login] = () => issue(`T${times(login)}`);
      cloud.answers[path] = { status: 403, body: BODIES['JSON'] };
      expect(await failureOf(read())).toMatchObject({ errorClass: 'denied' });
      expect([times(path), times(login)]).toEqual([1, 1]);
    });

    it('is renewed once for all who wait, and then passes', async () => {
      cloud.answers[login] = () => issue(`T${times(login)}`);
      cloud.answers[path] = ({ headers }) =>
        headers['x-auth-token'] === 'T1' ? { status: 401, body: '' } : { body: graph };
      await Promise.all([read(), read(), read(), read()]);
      expect(times(login)).toBe(2);
    });

    it('of a submit is not repeated, and the next one has another token', async () => {
      cloud.answers[login] = () => issue(`T${times(login)}`);
      cloud.answers[path] = { body: graph };
      const upgrade = 'POST /v2/p1/graphs/g1/upgrade';
      cloud.answers[upgrade] = { status: 401, body: '' };
      await read();
      const sender = await sessions.sender(gesV2, 'hw');
      const target = { version: '9.9.9', forceUpgrade: false };
      const sent = await sender.send(gesV2.submission({ projectId: 'p1' }, 'g1', target, 'token'), bounds);
      // Nobody says which of the two it was that answered: evidence decides.
      expect(answerOf(gesV2, sent, 'g1')).toMatchObject({ kind: 'unknown' });
      expect(times(upgrade)).toBe(1);
      await read();
      expect(times(login)).toBe(2);
    });
  });

  it.each(['DCS.1001', 'DCS.1002', 'DCS.1003', 'DCS.1004'])('renews on %s of a service itself', async (code) => {
    cloud.answers[login] = () => issue(`T${times(login)}`);
    const instance = 'GET /v2/p1/instances/g1';
    cloud.answers[instance] = { status: 401, body: { error_code: code, error_msg: 'token' } };
    expect(await failureOf(read(dcs))).toMatchObject({ errorClass: 'token', code });
    expect(times(login)).toBe(2);
  });

  it.each([
    [['a', 'b'], /^account hw: 2 projects are named eu-west-101 \(set its projectId in the accounts file\)$/],
    [[], /^account hw: no project is named eu-west-101 /],
  ])('refuses the projects %j', async (ids, expected) => {
    sessions = open(cloud.url, { ...byKeys, projectId: '' });
    const named = ids.map((id) => ({ id, name: REGION }));
    cloud.answers['GET /v3/projects'] = { body: { projects: [...named, { id: 'x', name: `${REGION}_team` }] } };
    const error = await failureOf(sessions.reader(gesV2, 'hw'));
    expect(error).toBeInstanceOf(AccountError);
    expect(error.message).toMatch(expected);
  });

  it('looks a project up again after a failure', async () => {
    sessions = open(cloud.url, { ...byKeys, projectId: '' });
    cloud.answers['GET /v3/projects'] = { status: 503, body: '' };
    expect(await failureOf(sessions.reader(gesV2, 'hw'))).toMatchObject({ errorClass: 'transient' });
    cloud.answers['GET /v3/projects'] = { body: { projects: [{ id: 'p9', name: REGION }] } };
    expect(await sessions.reader(gesV2, 'hw')).toMatchObject({ projectId: 'p9' });
  });

  it('shows no password that it quotes back, however escaped', async () => {
    const password = 'pa"ss\\wörd';
    sessions = open(cloud.url, { ...byLogin, projectId: 'p1' }, { LOGIN_PASSWORD: password });
    cloud.answers[login] = { status: 401, body: { error: { code: 401, message: `no: ${password} for you` } } };
    expect((await failureOf(read())).message).toContain('HTTP 401 no: *** for you');
  });
});

describe('the endpoint of IAM', () => {
  it.each([
    ['cn-north-4', 'https://iam.cn-north-4.myhuaweicloud.com'],
    ['na-mexico-1', 'https://iam.na-mexico-1.myhuaweicloud.com'],
    ['eu-west-101', 'https://iam.myhuaweicloud.com'],
    ['ru-northwest-2', 'https://iam.myhuaweicloud.com'],
  ])('in %s is %s', (region, expected) => {
    expect(huawei.endpoint('iam', region)).toEqual({ url: expected });
  });
});
