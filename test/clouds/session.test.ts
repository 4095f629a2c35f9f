/** Sessions over HTTP: signatures, envelopes, unreadable answers, rates, and the bounds of a send. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemClock, type Clock } from '../../activities/clock.js';
import { elasticsearch } from '../../activities/clouds/alibaba/elasticsearch.js';
import { AccountError, CloudError } from '../../activities/clouds/errors.js';
import { cse } from '../../activities/clouds/huawei/cse.js';
import { gesV2 } from '../../activities/clouds/huawei/ges-v2.js';
import type { CloudApi, CloudReader } from '../../activities/clouds/port.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import { createTransport } from '../../activities/transport.js';
import { accountAt, KEYS, startFakeCloud, type FakeCloud } from './fake-cloud.js';
import { SteppedClock } from './stepped-clock.js';

const thing = z.object({ graph: z.object({ id: z.string() }) });
const request = { path: ['v2', 'p1', 'graphs', 'g1'] };
const call = 'GET /v2/p1/graphs/g1';
const submission = { method: 'POST', path: ['v2', 'p1', 'graphs', 'g1', 'upgrade'], body: { a: 1 } } as const;

let cloud: FakeCloud;
beforeEach(async () => {
  cloud = await startFakeCloud();
});
afterEach(() => cloud.close());

function reader(api: CloudApi = gesV2, account = 'hw', clock: Clock = systemClock): Promise<CloudReader> {
  return cloud.sessions({ clock }).reader(api, account);
}

async function refusal(reading: Promise<unknown>): Promise<CloudError> {
  const error: unknown = await reading.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CloudError);
  const { message } = error as CloudError;
  expect(message).not.toContain('\n');
  for (const secret of Object.values(KEYS)) expect(message).not.toContain(secret);
  return error as CloudError;
}

describe('a read', () => {
  it('is signed with everything that it carries, and parsed', async () => {
    cloud.answers[call] = { body: { graph: { id: 'g1', added: 'later' }, more: true } };
    expect(await (await reader()).read({ ...request, query: { b: 'x y', a: '1', none: undefined } }, thing)).toEqual({
      graph: { id: 'g1' },
    });
    const [seen] = cloud.seen;
    const authorization = seen?.headers['authorization'];
    expect(seen?.query.toString()).toBe('a=1&b=x+y');
    expect(seen?.headers).toMatchObject({ 'x-project-id': 'p1', 'x-security-token': KEYS.SECURITY_TOKEN });
    expect(authorization).toMatch(
      /^SDK-HMAC-SHA256 Access=AK-fake, SignedHeaders=accept;host;x-project-id;x-sdk-date;x-security-token, Signature=[0-9a-f]{64}$/,
    );
  });

  it('names its action and version to Alibaba', async () => {
    cloud.answers['GET /openapi/instances/es-cn-1/elasticsearch-health'] = { body: { Result: 'GREEN' } };
    const state = { id: 'es-cn-1' } as Parameters<typeof elasticsearch.health>[2];
    await elasticsearch.health(await reader(elasticsearch, 'ali'), 'es-cn-1', state);
    expect(cloud.seen[0]?.headers).toMatchObject({
      'x-acs-action': 'DescribeElasticsearchHealth',
      'x-acs-version': '2017-06-13',
      'x-acs-accesskey-id': KEYS.AK,
    });
  });

  it('encodes each segment of its path and leads nowhere else', async () => {
    await refusal((await reader()).read({ path: ['v2', 'p1', 'graphs', 'a/../b c'] }, thing));
    expect(cloud.seen[0]?.path).toBe('/v2/p1/graphs/a%2F..%2Fb%20c');
    await expect((await reader()).read({ path: ['v2', '..', 'graphs'] }, thing)).rejects.toThrow(RangeError);
  });

  it('is refused as a POST that is no dry run, unseen by the cloud', async () => {
    const post = { ...request, method: 'POST' as const, body: {} };
    await expect((await reader()).read(post, thing)).rejects.toThrow('may not POST');
    await expect((await reader()).read({ ...post, query: { dryRun: 'false' } }, thing)).rejects.toThrow('may not POST');
    expect(cloud.seen).toHaveLength(0);
  });

  it.each([
    ['GES v1', { errorCode: 'GES.7000', errorMessage: 'no graph' }, 400],
    ['the GES v1 job list', { errCode: 'GES.7000', externalMessage: 'no graph' }, 400],
    ['GES v2', { error_code: 'GES.7000', error_msg: 'no graph' }, 400],
    ['IAM', { error: { code: 'GES.7000', message: 'no graph' } }, 400],
    ['Alibaba', { Code: 'GES.7000', Message: 'no graph', RequestId: 'r' }, 400],
    ['an error inside a 200', { errorCode: 'GES.7000', errorMessage: 'no graph', graph: { id: 'g1' } }, 200],
  ])('knows the error envelope of %s', async (_name, body, status) => {
    cloud.answers[call] = { status, body, headers: { 'x-request-id': 'r' } };
    const error = await refusal((await reader()).read(request, thing));
    expect(error).toMatchObject({
      code: 'GES.7000',
      status,
      requestId: 'r',
      errorClass: 'not-found',
      call,
      sent: true,
    });
    expect(error.message).toBe(`${call}: HTTP ${status} GES.7000 no graph (request r)`);
  });

  it('takes empty error fields of a success for what they are', async () => {
    cloud.answers[call] = { body: { errorCode: '', errorMessage: null, Code: 'Success', graph: { id: 'g1' } } };
    await expect((await reader()).read(request, thing)).resolves.toEqual({ graph: { id: 'g1' } });
  });

  it.each([
    ['a missing field', { graph: {} }, 'graph.id'],
    ['a field of another type', { graph: { id: 7 } }, 'graph.id'],
    ['a list instead of an object', [], '(top)'],
  ])('names call and field for %s', async (_name, body, field) => {
    cloud.answers[call] = { body };
    const error = await refusal((await reader()).read(request, thing));
    expect(error).toMatchObject({ errorClass: 'transient', status: 200, code: null });
    expect(error.message).toContain(`${call}: the answer's field ${field} is missing or not as documented`);
  });

  it.each([
    ['HTML', 200, '<html>maintenance</html>', 'an HTML page instead of JSON'],
    ['HTML of a proxy', 403, '<html>blocked</html>', 'an HTML page instead of JSON'],
    ['truncated JSON', 200, '{"graph":{"id":"g', 'a body that is no whole JSON'],
    ['an empty body', 200, '', 'an empty body'],
    ['a bad gateway', 502, '<html></html>', 'an HTML page instead of JSON'],
  ])('may be repeated after %s', async (_name, status, body, said) => {
    cloud.answers[call] = { status, body };
    const error = await refusal((await reader()).read(request, thing));
    expect(error).toMatchObject({ errorClass: 'transient', status });
    expect(error.message).toContain(said);
    expect(error.message).not.toContain('maintenance');
  });

  it('tells keys that are not accepted from a permission that lacks', async () => {
    cloud.answers[call] = { status: 401, body: { error_code: 'APIGW.0301', error_msg: 'Incorrect IAM' } };
    expect((await refusal((await reader()).read(request, thing))).message).toContain(
      'the keys of account hw were not accepted',
    );
    cloud.answers[call] = { status: 403, body: { error_code: 'APIGW.0302', error_msg: 'Forbidden' } };
    const error = await refusal((await reader()).read(request, thing));
    expect(error.errorClass).toBe('denied');
    expect(error.message).toContain('account hw lacks the permission');
  });

  it('names both clocks when they differ too much', async () => {
    const clock: Clock = { ...systemClock, now: () => Date.UTC(2026, 0, 1, 12) };
    const headers = { date: 'Thu, 01 Jan 2026 13:00:00 GMT' };
    cloud.answers[call] = { status: 401, headers, body: { error_code: 'APIGW.0303', error_msg: 'expired' } };
    const error = await refusal((await reader(gesV2, 'hw', clock)).read(request, thing));
    expect(error.errorClass).toBe('clock-skew');
    expect(error.message).toContain("our clock is 2026-01-01T12:00:00.000Z, the cloud's is 2026-01-01T13:00:00.000Z");
  });

  it('shows no key that the cloud quotes back, however escaped', async () => {
    const body = `{"Code":"SignatureDoesNotMatch","Message":"to sign:\\nx-acs-security-token:ST-s3cr3t\\u003d\\u003d ${KEYS.SK}"}`;
    cloud.answers[call] = { status: 400, body };
    const error = await refusal((await reader(elasticsearch, 'ali')).read(request, thing));
    expect(error.errorClass).toBe('denied');
    expect(error.message).toContain('x-acs-security-token:*** ***');
  });

  it('signs anew, once, when the gateway asks for it', async () => {
    const renew = { status: 401, body: { error_code: 'APIGW.0307', error_msg: 'The token must be updated' } };
    cloud.answers[call] = () => (cloud.seen.length === 1 ? renew : { body: { graph: { id: 'g1' } } });
    let now = Date.UTC(2026, 0, 1);
    await (await reader(gesV2, 'hw', { ...systemClock, now: () => (now += 1_000) })).read(request, thing);
    const [first, second] = cloud.seen.map(({ headers }) => headers['authorization']);
    expect(second).toMatch(/^SDK-HMAC-SHA256 /);
    expect(second).not.toBe(first);

    cloud.answers[call] = renew;
    expect((await refusal((await reader()).read(request, thing))).errorClass).toBe('token');
    expect(cloud.seen).toHaveLength(4);
  });

  it.each([
    ['SignatureDoesNotMatch', 400, 'denied', 2],
    ['SignatureNonceUsed', 400, 'transient', 2],
    ['InvalidTimeStamp.Expired', 400, 'clock-skew', 2],
    ['InvalidAccessKeyId.NotFound', 404, 'denied', 1],
    ['InstanceActivating', 400, 'busy', 1],
  ])('of Alibaba’s that is refused with %s is signed anew at most once', async (code, status, errorClass, calls) => {
    let now = Date.UTC(2026, 0, 1, 12);
    const clock: Clock = { ...systemClock, now: () => (now += 1_000) };
    const headers = { date: 'Thu, 01 Jan 2026 13:00:00 GMT' };
    const refused = { status, headers, body: { Code: code, Message: 'no', RequestId: 'r' } };
    cloud.answers[call] = refused;
    const error = await refusal((await reader(elasticsearch, 'ali', clock)).read(request, thing));
    expect(error).toMatchObject({ errorClass, code });
    if (errorClass === 'clock-skew') {
      expect(error.message).toMatch(
        /our clock is 2026-01-01T12:00:\d\d\.000Z, the cloud's is 2026-01-01T13:00:00\.000Z/,
      );
    }
    expect(cloud.seen).toHaveLength(calls);
    for (const name of ['x-acs-signature-nonce', 'x-acs-date', 'authorization']) {
      expect(new Set(cloud.seen.map((seen) => seen.headers[name])).size).toBe(calls);
    }

    const before = cloud.seen.length;
    cloud.answers[call] = () => (cloud.seen.length === before + 1 ? refused : { body: { graph: { id: 'g1' } } });
    const again = (await reader(elasticsearch, 'ali', clock)).read(request, thing);
    if (calls === 1) await refusal(again);
    else expect(await again).toEqual({ graph: { id: 'g1' } });
  });

  it('has another nonce for each call', async () => {
    cloud.answers[call] = { body: { graph: { id: 'g1' } } };
    const ali = await reader(elasticsearch, 'ali');
    await ali.read(request, thing);
    await ali.read(request, thing);
    expect(new Set(cloud.seen.map(({ headers }) => headers['x-acs-signature-nonce'])).size).toBe(2);
  });

  it('pauses the account after a throttled answer', async () => {
    const clock = new SteppedClock(Date.UTC(2026, 0, 1));
    const sessions = cloud.sessions({ clock });
    cloud.answers[call] = { status: 429, body: { error_code: 'APIGW.0308', error_msg: 'policy user over ratelimit' } };
    const error = await refusal((await sessions.reader(gesV2, 'hw')).read(request, thing));
    expect(error.errorClass).toBe('throttled');
    expect(error.message).toContain('no more calls for 60 s');

    cloud.answers[call] = { body: { graph: { id: 'g1' } } };
    const next = (await sessions.reader(gesV2, 'hw')).read(request, thing);
    await clock.advance(59_000);
    expect(cloud.seen).toHaveLength(1);
    await clock.advance(1_000);
    await next;
    expect(cloud.seen).toHaveLength(2);
  });

  it('pauses the account’s submits and their admission too', async () => {
    const clock = new SteppedClock(Date.UTC(2026, 0, 1));
    const sessions = cloud.sessions({ clock });
    cloud.answers[call] = { status: 429, body: { error_code: 'APIGW.0308', error_msg: 'policy user over ratelimit' } };
    await refusal((await sessions.reader(gesV2, 'hw')).read(request, thing));
    const sendBy = clock.now() + 30_000;
    const sent = await (await sessions.sender(gesV2, 'hw')).send(submission, { sendBy, timeoutMs: 5_000 });
    expect(sent).toMatchObject({ kind: 'not-sent', retryInMs: 60_000 });
    let isAdmitted = false;
    void sessions.admit(gesV2, 'hw').then(() => (isAdmitted = true));
    await clock.advance(59_000);
    expect(isAdmitted).toBe(false);
    await clock.advance(1_000);
    expect(isAdmitted).toBe(true);
    expect(cloud.seen).toHaveLength(1);
  });

  it('ends with the reason of its cancellation while it waits for its turn', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled');
    const sessions = cloud.sessions({ clock: new SteppedClock() });
    cloud.answers[call] = { status: 429, body: {} };
    await refusal((await sessions.reader(gesV2, 'hw')).read(request, thing));
    const waiting = (await sessions.reader(gesV2, 'hw', { signal: controller.signal })).read(request, thing);
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(cloud.seen).toHaveLength(1);
  });

  it('says that nothing was sent where nothing listens', async () => {
    const sessions = cloud.sessions({
      clock: systemClock,
      accounts: new Map([['hw', accountAt('http://127.0.0.1:1', 'huawei')]]),
    });
    const error = await refusal((await sessions.reader(gesV2, 'hw')).read(request, thing));
    expect(error).toMatchObject({ errorClass: 'transient', status: null, sent: false });
    expect(error.message).toBe(`${call}: connection refused by http://127.0.0.1:1`);
  });
});

describe('a send', () => {
  const path = 'POST /v2/p1/graphs/g1/upgrade';
  const bounds = { sendBy: Number.POSITIVE_INFINITY, timeoutMs: 5_000 };

  it.each([
    [200, { job_id: 'j1' }],
    [400, { error_code: 'GES.7001', error_msg: 'not running' }],
    [503, 'unavailable'],
  ])('hands on a whole answer of HTTP %i, unjudged', async (status, body) => {
    cloud.answers[path] = { status, body };
    const clock: Clock = { ...systemClock, now: () => 4711 };
    const sent = await (await cloud.sessions({ clock }).sender(gesV2, 'hw')).send(submission, bounds);
    expect(sent).toMatchObject({ kind: 'answered', at: 4711, response: { status } });
    expect(cloud.seen.map(({ body: received }) => received)).toEqual(['{"a":1}']);
  });

  it.each(['SignatureDoesNotMatch', 'SignatureNonceUsed', 'InvalidTimeStamp.Expired'])(
    'is never signed anew by itself: %s',
    async (code) => {
      cloud.answers[path] = { status: 400, body: { Code: code, Message: 'no', RequestId: 'r' } };
      const sender = await cloud.sessions({ clock: systemClock }).sender(elasticsearch, 'ali');
      expect(await sender.send(submission, bounds)).toMatchObject({ kind: 'answered', response: { status: 400 } });
      expect(cloud.seen).toHaveLength(1);
    },
  );

  it('is not sent past its deadline', async () => {
    const clock = new SteppedClock(10_000);
    const sent = await (
      await cloud.sessions({ clock }).sender(gesV2, 'hw')
    ).send(submission, { ...bounds, sendBy: 9_999 });
    expect(sent).toMatchObject({ kind: 'not-sent' });
    expect(cloud.seen).toHaveLength(0);
  });

  it('is not sent without a slot in time, and says how long the wait is', async () => {
    const clock = new SteppedClock(0);
    const accounts = new Map([['hw', accountAt(cloud.url, 'huawei', { rates: { reads: 5, writes: 0.1 } })]]);
    const sender = await cloud.sessions({ clock, accounts }).sender(gesV2, 'hw');
    await sender.send(submission, { ...bounds, sendBy: 5_000 });
    const second = await sender.send(submission, { ...bounds, sendBy: 5_000 });
    expect(second).toMatchObject({ kind: 'not-sent', retryInMs: 10_500 });
    expect(cloud.seen).toHaveLength(1);
  });

  it('is not sent where nothing listens', async () => {
    const accounts = new Map([['hw', accountAt('http://127.0.0.1:1', 'huawei')]]);
    const sender = await cloud.sessions({ clock: systemClock, accounts }).sender(gesV2, 'hw');
    const sent = await sender.send(submission, bounds);
    expect(sent).toEqual({
      kind: 'not-sent',
      reason: 'connection refused by http://127.0.0.1:1',
      retryInMs: 10_000,
    });
  });

  it('is unanswered when the answer stops in the middle', async () => {
    cloud.answers[path] = { status: 200, headers: { 'content-length': '100' }, body: '{"job_id":' };
    const sender = await cloud.sessions({ clock: systemClock }).sender(gesV2, 'hw');
    expect(await sender.send(submission, { ...bounds, timeoutMs: 200 })).toMatchObject({ kind: 'unanswered' });
    expect(cloud.seen).toHaveLength(1);
  });

  it('slows the account when it is throttled, and never repeats by itself', async () => {
    const clock = new SteppedClock(0);
    const sender = await cloud.sessions({ clock }).sender(elasticsearch, 'ali');
    cloud.answers[path] = { status: 400, body: { Code: 'Throttling.User', Message: 'slow down' } };
    expect(await sender.send(submission, bounds)).toMatchObject({ kind: 'answered', response: { status: 400 } });
    expect(await sender.send(submission, { ...bounds, sendBy: 500 })).toMatchObject({
      kind: 'not-sent',
      retryInMs: 1_000,
    });
    expect(cloud.seen).toHaveLength(1);
  });
});

describe('submits that nobody answers', () => {
  const path = 'POST /v2/p1/graphs/g1/upgrade';

  it('are stopped after five in a row, tried one at a time, and go on with the first answer', async () => {
    const clock = new SteppedClock(0);
    const said: string[] = [];
    const sessions = cloud.sessions({ clock, log: (line) => said.push(line) });
    const sender = await sessions.sender(gesV2, 'hw');
    const send = async () => {
      await clock.advance(1_000);
      return sender.send(submission, { sendBy: Infinity, timeoutMs: 5_000 });
    };
    cloud.answers[path] = { status: 503, body: { error_code: 'APIGW.0201', error_msg: 'Backend unavailable' } };
    for (let sent = 0; sent < 5; sent++) expect(await send()).toMatchObject({ kind: 'answered' });
    expect(await send()).toMatchObject({
      kind: 'not-sent',
      reason: 'account hw, ges: no submits, since the last 5 got no readable answer (HTTP 503); one is tried in 29 s',
      retryInMs: 29_000,
    });
    const waiting: string[] = [];
    let isAdmitted = false;
    void sessions.admit(gesV2, 'hw', { waiting: (reason) => waiting.push(reason) }).then(() => (isAdmitted = true));
    await clock.advance(20_000);
    expect(isAdmitted).toBe(false);
    expect(waiting[0]).toContain('no submits, since the last 5 got no readable answer');
    // Another service of the account is not concerned.
    await sessions.admit(cse, 'hw');

    await clock.advance(10_000);
    expect(isAdmitted).toBe(true);
    expect(await send()).toMatchObject({ kind: 'answered' });
    expect(await send()).toMatchObject({ kind: 'not-sent', retryInMs: 59_000 });
    expect(cloud.seen).toHaveLength(6);

    await clock.advance(60_000);
    cloud.answers[path] = { status: 400, body: { error_code: 'GES.7001', error_msg: 'not running' } };
    expect(await send()).toMatchObject({ kind: 'answered' });
    expect(await send()).toMatchObject({ kind: 'answered' });
    expect(said.at(-1)).toBe('account hw, ges: a submit was answered, so submits go on');
  });
});

describe('accounts', () => {
  const open = (more: Parameters<typeof accountAt>[2], api: CloudApi = gesV2, env: Record<string, string> = {}) => {
    const account = accountAt('http://127.0.0.1:1', 'huawei', more);
    const options = { accounts: new Map([['hw', account]]), clock: systemClock };
    const transport = createTransport(options);
    const sessions = openSessions({ ...options, transport, env: { FAKE_AK: 'a', FAKE_SK: 's', ...env } });
    return () => sessions.reader(api, 'hw');
  };

  it.each([
    ['an unknown account', () => cloud.sessions({ clock: systemClock }).reader(gesV2, 'nobody'), /nobody is not in/],
    ['another cloud', open({}, elasticsearch), /account hw is of cloud huawei, and elasticsearch is of alibaba/],
    ['missing keys', open({ credentials: { kind: 'env', prefix: 'GONE' } }), /GONE_AK is not set/],
    [
      'plain http beyond loopback',
      open({ endpoints: { ges: 'http://ges.example.com' } }),
      /plain http beyond loopback/,
    ],
    [
      'a region without the service',
      open({ endpoints: {}, region: 'cn-nowhere-1' }),
      /ges is not in region cn-nowhere-1, only in .*cn-north-4.* \(or set its endpoints\.ges\)/,
    ],
  ])('refuses %s in one line', async (_name, use, expected) => {
    await expect(use()).rejects.toThrow(AccountError);
    await expect(use()).rejects.toThrow(expected);
  });

  it('takes plain http beyond loopback where the account says so', async () => {
    const use = open({ endpoints: { ges: 'http://ges.example.com' }, allowPlainHttp: true });
    await expect(use()).resolves.toMatchObject({ projectId: 'p1' });
  });
});
