/** Faults: each does what it says, is counted when it really happened, and the truth record tells what it hid. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FAULT_KINDS, type FaultRule, parseFaultRule } from '../../simulator/faults.js';
import { DEMO_PROJECT } from '../../simulator/inventory.js';
import { duplicates } from '../../simulator/truth.js';
import { ALIBABA_TEMPORARY, DURATION_MS, HUAWEI, startClouds, type Answer, type Clouds } from './clients.js';

let clouds: Clouds;
let graph: string;
beforeEach(async () => {
  clouds = await startClouds();
  graph = clouds.first('ges').id;
});
afterEach(() => clouds.simulator.close());

const arm = (...rules: FaultRule[]): void => clouds.simulator.faults.add(...rules);
const read = (): Promise<Answer> => clouds.huawei({ path: `/v2/${DEMO_PROJECT}/graphs/${graph}` });
const submit = (version = '9.0.0'): Promise<Answer> =>
  clouds.huawei({
    method: 'POST',
    path: `/v2/${DEMO_PROJECT}/graphs/${graph}/upgrade`,
    body: { upgrade_version: version },
  });
const submits = () => clouds.simulator.truth().submits;

describe('a plan', () => {
  it('fires once, at what it names, after what it skips', async () => {
    arm({ fault: { kind: 'status', status: 503 }, calls: ['read'], resource: graph, family: 'ges', skip: 1 });
    const cluster = clouds.first('elasticsearch').id;
    expect((await clouds.alibaba({ path: `/openapi/instances/${cluster}` })).status).toBe(200);
    expect((await clouds.huawei({ path: `/v2/${DEMO_PROJECT}/graphs` })).status).toBe(200);
    const statuses = [await read(), await read(), await read()].map(({ status }) => status);
    expect(statuses).toEqual([200, 503, 200]);
    expect(clouds.simulator.faults.fired()).toEqual({ 'status-503': 1 });
    expect(clouds.simulator.truth().faults).toEqual({ 'status-503': 1 });
  });

  it('can be for one account, and be cleared', async () => {
    arm({ fault: { kind: 'throttled' }, account: 'east-temporary', times: 2 });
    const list = { path: '/openapi/instances' };
    expect((await clouds.alibaba(list)).status).toBe(200);
    const throttled = await clouds.alibaba(list, ALIBABA_TEMPORARY);
    expect([throttled.status, throttled.json['Code']]).toEqual([400, 'Throttling.User']);
    clouds.simulator.faults.clear();
    expect((await clouds.alibaba(list, ALIBABA_TEMPORARY)).status).toBe(200);
  });

  it('that is none is refused by name', () => {
    expect(() => arm({ fault: { kind: 'reset' } as never })).toThrow(/processed/);
  });
});

describe('a chance', () => {
  const outcomes = async (seed: string): Promise<string> => {
    const other = await startClouds({ options: { seed } });
    other.simulator.faults.add({ fault: { kind: 'throttled' }, probability: 0.3 });
    let text = '';
    for (let index = 0; index < 40; index += 1) {
      const { status } = await other.huawei({ path: `/v2/${DEMO_PROJECT}/graphs` });
      text += status === 429 ? 'x' : '.';
    }
    const throttled = text.replaceAll('.', '').length;
    expect(other.simulator.faults.fired()).toEqual({ throttled });
    expect(throttled).toBeGreaterThan(0);
    await other.simulator.close();
    return text;
  };

  it('follows from the seed', async () => {
    const first = await outcomes('a');
    expect(await outcomes('a')).toBe(first);
    expect(await outcomes('b')).not.toBe(first);
  });
});

describe('before processing', () => {
  it('throttles as Huawei does: 429', async () => {
    arm({ fault: { kind: 'throttled' } });
    const answer = await submit();
    expect([answer.status, answer.json['error_code']]).toEqual([429, 'APIGW.0308']);
    expect(submits()).toEqual([]);
  });

  it.each([500, 502, 503, 504] as const)('answers %i and starts nothing', async (status) => {
    arm({ fault: { kind: 'status', status } });
    expect((await submit()).status).toBe(status);
    expect(submits()).toEqual([]);
  });

  it('resets the connection and starts nothing', async () => {
    arm({ fault: { kind: 'reset', processed: false } });
    await expect(submit()).rejects.toThrow('fetch failed');
    expect(submits()).toEqual([]);
    expect(clouds.simulator.faults.fired()).toEqual({ reset: 1 });
  });

  it('refuses a signature by a clock that is ahead, at both clouds', async () => {
    arm({ fault: { kind: 'clock-skew' }, times: 2 });
    const answer = await submit();
    expect([answer.status, answer.json['error_code']]).toEqual([401, 'APIGW.0303']);
    const list = await clouds.alibaba({ path: '/openapi/instances' });
    expect([list.status, list.json['Code']]).toEqual([400, 'InvalidTimeStamp.Expired']);
    expect(submits()).toEqual([]);
    expect(clouds.simulator.faults.fired()).toEqual({ 'clock-skew': 2 });
    expect((await submit()).status).toBe(200);
  });
});

describe('after processing', () => {
  it.each<[string, FaultRule['fault']]>([
    ['a reset', { kind: 'reset', processed: true }],
    ['a 504', { kind: 'status', status: 504, processed: true }],
    ['truncated JSON', { kind: 'truncated' }],
    ['an answer cut off on its way', { kind: 'cut' }],
    ['HTML', { kind: 'html' }],
    ['an answer without its job id', { kind: 'missing-field', field: 'job_id' }],
  ])('%s hides an upgrade that runs', async (_, fault) => {
    arm({ fault, calls: ['submit'] });
    const answer = await submit().catch(() => null);
    if (answer !== null) expect(answer.text).not.toMatch(/"job_id":"[^"]{44,}"/);
    expect(submits()).toMatchObject([{ resource: graph, answerLost: true }]);
    expect((await read()).json).toMatchObject({ graph: { status: '201' } });
    expect(Object.values(clouds.simulator.faults.fired())).toEqual([1]);
  });

  it('an unknown field hides nothing', async () => {
    arm({ fault: { kind: 'extra-field' } });
    const answer = await submit();
    expect(answer.json).toHaveProperty('job_id');
    expect(answer.json).toHaveProperty('addedInANewerVersion');
    expect(submits()).toMatchObject([{ answerLost: false }]);
  });

  it('a slow answer acts first, or last, as it was told', async () => {
    const started = clouds.clock.now();
    arm({ fault: { kind: 'slow', delayMs: 5000, processed: 'first' } });
    await submit();
    expect(submits().at(-1)?.at).toBe(started);
    clouds.clock.advance(DURATION_MS);
    const later = clouds.clock.now();
    arm({ fault: { kind: 'slow', delayMs: 5000, processed: 'late' } });
    await submit('9.0.1');
    expect(submits().at(-1)?.at).toBe(later + 5000);
  });
});

describe('what befalls an accepted submit', () => {
  it('waits for one: a read or a refusal does not use it up', async () => {
    arm({ fault: { kind: 'visibility-lag', lagMs: 1000 } });
    await read();
    expect((await submit('0.0.1')).status).toBe(400);
    expect(clouds.simulator.faults.fired()).toEqual({});
    await submit();
    expect(clouds.simulator.faults.fired()).toEqual({ 'visibility-lag': 1 });
  });

  it('keeps it out of every read for a while; a second submit is then a true duplicate', async () => {
    arm({ fault: { kind: 'visibility-lag', lagMs: 30_000 } });
    const { job_id: job } = (await submit()).json;
    const jobs = { path: `/v2/${DEMO_PROJECT}/graphs/jobs` };
    const one = { path: `/v2/${DEMO_PROJECT}/graphs/${graph}/jobs/${String(job)}/status` };
    expect((await read()).json).toMatchObject({ graph: { status: '200' } });
    expect((await clouds.huawei(jobs)).json).toMatchObject({ job_count: 0 });
    expect((await clouds.huawei(one)).json).toMatchObject({ error_code: 'GES.7007' });

    expect((await submit()).status).toBe(200);
    const truth = clouds.simulator.truth();
    expect(duplicates(truth)).toEqual([graph]);
    expect(truth.perResource[graph]).toMatchObject({ accepted: 2 });
    expect(truth.violations.map(({ kind }) => kind)).toEqual(['submit-while-running']);

    clouds.clock.advance(30_000);
    expect((await clouds.huawei(one)).json).toMatchObject({ status: 'running' });
    expect((await clouds.huawei(jobs)).json).toMatchObject({ job_count: 2 });
  });

  it('hides it and loses its answer, both at once', async () => {
    arm({ fault: { kind: 'visibility-lag', lagMs: 30_000, answerLost: true } });
    await expect(submit()).rejects.toThrow('fetch failed');
    expect(submits()).toMatchObject([{ resource: graph, answerLost: true }]);
    expect((await read()).json).toMatchObject({ graph: { status: '200' } });
    clouds.clock.advance(30_000);
    expect((await read()).json).toMatchObject({ graph: { status: '201' } });
  });

  it('takes its job records away; the graph still goes on', async () => {
    arm({ fault: { kind: 'vanishing-records', afterMs: 60_000 } });
    const { job_id: job } = (await submit()).json;
    const one = { path: `/v2/${DEMO_PROJECT}/graphs/${graph}/jobs/${String(job)}/status` };
    expect((await clouds.huawei(one)).status).toBe(200);
    clouds.clock.advance(60_000);
    expect((await clouds.huawei(one)).json).toMatchObject({ error_code: 'GES.7007' });
    expect((await clouds.huawei({ path: `/v2/${DEMO_PROJECT}/graphs/jobs` })).json).toMatchObject({ job_count: 0 });
    clouds.clock.advance(DURATION_MS);
    expect((await read()).json).toMatchObject({ graph: { status: '200', data_store_version: '9.0.0' } });
  });
});

it('an upgrade that is stuck for a time stands still, and then succeeds', async () => {
  clouds.simulator.inventory.change(graph, { fate: 'stuck', stuckMs: 10 * DURATION_MS });
  await submit();
  const stage = () => clouds.simulator.inventory.operations(graph).map((one) => [one.operation.account, one.stage]);
  clouds.clock.advance(10 * DURATION_MS - 1);
  expect(stage()).toEqual([['north', 'running']]);
  expect((await read()).json).toMatchObject({ graph: { status: '201' } });
  clouds.clock.advance(1);
  expect(stage()).toEqual([['north', 'succeeded']]);
  expect((await read()).json).toMatchObject({ graph: { status: '200', data_store_version: '9.0.0' } });
});

it('a token lasts as long as it was told', async () => {
  const login = { user: 'ops', password: 'simulated', domain: 'example' };
  const other = await startClouds({ options: { tokenMs: 1000, credentials: [{ ...HUAWEI, login }] } });
  const user = { name: login.user, password: login.password, domain: { name: login.domain } };
  const auth = {
    identity: { methods: ['password'], password: { user } },
    scope: { project: { id: DEMO_PROJECT } },
  };
  const answer = await fetch(`${other.simulator.url}/v3/auth/tokens`, {
    method: 'POST',
    body: JSON.stringify({ auth }),
  });
  const headers = { 'x-auth-token': answer.headers.get('x-subject-token') ?? '' };
  const list = async () => (await fetch(`${other.simulator.url}/v2/${DEMO_PROJECT}/graphs`, { headers })).status;
  expect(await list()).toBe(200);
  other.clock.advance(1000);
  expect(await list()).toBe(401);
  expect(other.simulator.truth().signatureFailures).toEqual({ 'APIGW.0307': 1 });
  await other.simulator.close();
});

describe('a rule that somebody types', () => {
  it.each([
    ['{fault: {kind: race, to: {graph: 2.4.4}}, calls: [submit]}', 'race'],
    ['{"fault":{"kind":"visibility-lag","lagMs":2000},"family":"cse","calls":["submit"]}', 'visibility-lag'],
    ['fault: {kind: reset, processed: true}', 'reset'],
  ])('may be YAML or JSON: %s', (text, kind) => {
    const rule = parseFaultRule(text);
    expect(rule.fault.kind).toBe(kind);
    arm(rule);
    expect(rule).not.toHaveProperty('probability');
  });

  it.each([
    ['[', 'is neither YAML nor JSON: '],
    ['', 'Invalid input: expected object'],
    ['hello', 'Invalid input: expected object'],
    ['{fault: throttled}', 'fault: Invalid input: expected object'],
    ['{fault: {kind: nonsense}}', `fault.kind: use one of ${FAULT_KINDS.join(', ')}`],
    ['{fault: {kind: reset}}', 'fault.processed: Invalid input: expected boolean'],
    ['{fault: {kind: race, to: {engine: 6.7}}}', 'fault.to.engine: Invalid input: expected string, received number'],
    ['{fault: {kind: throttled}, calls: [submits]}', 'calls.0: Invalid option: expected one of "submit"'],
    ['{fault: {kind: throttled}, times: 0, colour: red}', 'Unrecognized key: "colour"'],
  ])('is told what is wrong with it, in one line: %s', (text, problem) => {
    const parsing = () => parseFaultRule(text);
    expect(parsing).toThrow(problem);
    expect(parsing).not.toThrow(/\n/);
  });

  it('may be of every kind there is', () => {
    expect(FAULT_KINDS).toEqual(expect.arrayContaining(['race', 'visibility-lag', 'vanishing-records', 'throttled']));
  });
});
