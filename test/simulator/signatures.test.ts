/** Signatures made by the vendors' own code are verified; nothing else is. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEMO_PROJECT } from '../../simulator/inventory.js';
import {
  ALIBABA,
  ALIBABA_TEMPORARY,
  HUAWEI,
  HUAWEI_TEMPORARY,
  startClouds,
  type Call,
  type Clouds,
} from './clients.js';

let clouds: Clouds;
beforeEach(async () => {
  clouds = await startClouds();
});
afterEach(() => clouds.simulator.close());

const MINUTE = 60_000;

describe('SDK-HMAC-SHA256', () => {
  const list: Call = { path: `/v2/${DEMO_PROJECT}/graphs`, query: { limit: '5', offset: '0' } };

  it('lets a rightly signed read in', async () => {
    const answer = await clouds.huawei(list);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/);
    expect(clouds.simulator.truth().signatureFailures).toEqual({});
  });

  it('lets in a query of signs that encodings differ about, and a body', async () => {
    const query = { graph_name: "a b+c/d?e=f&g'(h)*~图" };
    expect((await clouds.huawei({ path: `/v2/${DEMO_PROJECT}/graphs/jobs`, query })).status).toBe(200);
    const { id } = clouds.first('ges');
    const body = { upgrade_version: '图' };
    const answer = await clouds.huawei({ method: 'POST', path: `/v2/${DEMO_PROJECT}/graphs/${id}/upgrade`, body });
    expect(answer.json).toMatchObject({ error_code: 'GES.0001' });
    expect(clouds.simulator.truth().signatureFailures).toEqual({});
  });

  it('lets a temporary key in with its security token only', async () => {
    expect((await clouds.huawei(list, HUAWEI_TEMPORARY)).status).toBe(200);
    const { securityToken: _, ...without } = HUAWEI_TEMPORARY;
    expect((await clouds.huawei(list, without)).status).toBe(401);
    expect((await clouds.huawei(list, { ...HUAWEI_TEMPORARY, securityToken: 'other' })).status).toBe(401);
  });

  it.each<[string, Call['tamper']]>([
    ['another query', (request) => (request.url = request.url.replace('limit=5', 'limit=6'))],
    ['another path', (request) => (request.url = request.url.replace('/v2/', '/v1.0/'))],
    ['another header', (request) => (request.headers['content-type'] = 'text/plain')],
    ['no signature', (request) => delete request.headers['Authorization']],
    ['another scheme', (request) => (request.headers['Authorization'] = 'Bearer abc')],
    [
      'an unsigned date',
      (request) => (request.headers['Authorization'] = request.headers['Authorization']!.replace(';x-sdk-date', '')),
    ],
  ])('refuses %s', async (_, tamper) => {
    const answer = await clouds.huawei({ ...list, tamper });
    expect(answer.status).toBe(401);
    expect(answer.json).toMatchObject({ error_code: 'APIGW.0301', request_id: answer.headers.get('x-request-id') });
    expect(clouds.simulator.truth().signatureFailures).toEqual({ 'APIGW.0301': 1 });
  });

  it('refuses another body, and starts nothing', async () => {
    const { id } = clouds.first('ges');
    const answer = await clouds.huawei({
      method: 'POST',
      path: `/v2/${DEMO_PROJECT}/graphs/${id}/upgrade`,
      body: { upgrade_version: '9.0.0' },
      tamper: (request) => (request.body = JSON.stringify({ upgrade_version: '9.0.1' })),
    });
    expect(answer.status).toBe(401);
    expect(clouds.simulator.truth().submits).toEqual([]);
  });

  it('refuses a wrong secret and an unknown key', async () => {
    expect((await clouds.huawei(list, { ...HUAWEI, secret: 'wrong' })).json).toMatchObject({
      error_code: 'APIGW.0301',
    });
    expect((await clouds.huawei(list, { ...HUAWEI, accessKeyId: 'NOBODY' })).status).toBe(401);
    expect(clouds.simulator.truth().signatureFailures).toEqual({ 'APIGW.0301': 2 });
  });

  it.each([-16, 16])('refuses a date %i minutes off, by its own clock', async (minutes) => {
    const answer = await clouds.huawei({ ...list, tamper: () => clouds.clock.advance(minutes * MINUTE) });
    expect(answer.json).toMatchObject({ error_code: 'APIGW.0303' });
    const near = await clouds.huawei({ ...list, tamper: () => clouds.clock.advance(Math.sign(minutes) * 14 * MINUTE) });
    expect(near.status).toBe(200);
  });

  it("refuses another owner's project", async () => {
    const answer = await clouds.huawei({ path: '/v2/ffffffffffffffffffffffffffffffff/graphs' });
    expect([answer.status, answer.json['error_code']]).toEqual([403, 'APIGW.0302']);
  });
});

describe('ACS3-HMAC-SHA256', () => {
  const list: Call = { path: '/openapi/instances', query: { page: '1', size: '5' } };

  it('lets a rightly signed read in', async () => {
    const answer = await clouds.alibaba(list);
    expect(answer.status).toBe(200);
    expect(answer.json['RequestId']).toBe(answer.headers.get('x-acs-request-id'));
    expect(clouds.simulator.truth().signatureFailures).toEqual({});
  });

  it('lets in a query of signs that encodings differ about', async () => {
    const query = { tags: `[{"tagKey":"a b+c","tagValue":"(d)*'~图!"}]` };
    expect((await clouds.alibaba({ ...list, query })).status).toBe(200);
  });

  it('lets a temporary key in with its security token only', async () => {
    expect((await clouds.alibaba(list, ALIBABA_TEMPORARY)).status).toBe(200);
    const { securityToken: _, ...without } = ALIBABA_TEMPORARY;
    const wrong = { ...ALIBABA_TEMPORARY, securityToken: 'other' };
    for (const key of [without, wrong]) {
      expect((await clouds.alibaba(list, key)).json).toMatchObject({ Code: 'InvalidSecurityToken.Malformed' });
    }
  });

  it.each<[string, string, number, Call['tamper']]>([
    [
      'another query',
      'SignatureDoesNotMatch',
      400,
      (request) => (request.url = request.url.replace('size=5', 'size=6')),
    ],
    ['an unsigned header', 'SignatureDoesNotMatch', 400, (request) => (request.headers['x-acs-extra'] = '1')],
    ['another action', 'SignatureDoesNotMatch', 400, (request) => (request.headers['x-acs-action'] = 'DeleteInstance')],
    ['no nonce', 'MissingParameter', 400, (request) => delete request.headers['x-acs-signature-nonce']],
    ['no signature', 'MissingParameter', 400, (request) => delete request.headers['authorization']],
  ])('refuses %s with %s', async (_, code, status, tamper) => {
    const answer = await clouds.alibaba({ ...list, tamper });
    expect(answer.json).toMatchObject({ Code: code });
    expect(answer.status).toBe(status);
    expect(clouds.simulator.truth().signatureFailures).toEqual({ [code]: 1 });
  });

  it('refuses another body, though the hash header is signed', async () => {
    const { id } = clouds.first('elasticsearch');
    const answer = await clouds.alibaba({
      method: 'POST',
      path: `/openapi/instances/${id}/actions/upgrade-version`,
      body: { type: 'engineVersion', version: '6.7' },
      tamper: (request) => (request.body = JSON.stringify({ type: 'engineVersion', version: '6.8' })),
    });
    expect(answer.json).toMatchObject({ Code: 'SignatureDoesNotMatch' });
    expect(clouds.simulator.truth().submits).toEqual([]);
  });

  it('refuses a hash header that is not the body’s, though the signature fits the body', async () => {
    const answer = await clouds.alibaba({ ...list, headers: { 'x-acs-content-sha256': '0'.repeat(64) } });
    expect(answer.json).toMatchObject({ Code: 'SignatureDoesNotMatch' });
  });

  it('refuses a wrong secret and an unknown key', async () => {
    expect((await clouds.alibaba(list, { ...ALIBABA, secret: 'wrong' })).json).toMatchObject({
      Code: 'SignatureDoesNotMatch',
    });
    const unknown = await clouds.alibaba(list, { ...ALIBABA, accessKeyId: 'NOBODY' });
    expect([unknown.status, unknown.json['Code']]).toEqual([404, 'InvalidAccessKeyId.NotFound']);
  });

  it('refuses a nonce that comes twice', async () => {
    const once = { ...list, headers: { 'x-acs-signature-nonce': 'the-same' } };
    expect((await clouds.alibaba(once)).status).toBe(200);
    expect((await clouds.alibaba(once)).json).toMatchObject({ Code: 'SignatureNonceUsed' });
  });

  it('does not let a stranger burn a nonce', async () => {
    const once = { ...list, headers: { 'x-acs-signature-nonce': 'mine' } };
    await clouds.alibaba(once, { ...ALIBABA, secret: 'wrong' });
    expect((await clouds.alibaba(once)).status).toBe(200);
  });

  it.each([-16, 16])('refuses a date %i minutes off, by its own clock', async (minutes) => {
    const answer = await clouds.alibaba({ ...list, tamper: () => clouds.clock.advance(minutes * MINUTE) });
    expect(answer.json).toMatchObject({ Code: 'InvalidTimeStamp.Expired' });
  });
});
