/** What the SDK's core tells of a call that has failed, in a worker's log: the server's words, and no header of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog, temporalLogger } from '../../worker/logging.js';
import { type Installation, install } from '../life/installation.js';
import { type FrontendProxy, startFrontendProxy } from '../support/frontend-proxy.js';

const CANARY = 'canary-5e1f"{}';

describe('a worker whose server answers with a header of its gateway', () => {
  let life: Installation;
  let proxy: FrontendProxy;
  beforeAll(async () => {
    life = await install({ seed: 'logging', graphs: 2 });
    proxy = await startFrontendProxy(life.env.server.address, { 'set-cookie': CANARY });
  });
  afterAll(async () => {
    await life.close();
    await proxy.close();
  });

  it('logs what the server says of a step that is not wanted any more, without its headers', async () => {
    const worker = await life.worker({ address: proxy.address });
    const sending = life.calls.hold(({ call, point }) => call === 'submit' && point === 'processed');
    const handle = await life.begin(life.take('ges-v1'));
    await sending.reached;
    await handle.terminate('so that the end of its submit is refused');
    sending.release();
    await expect.poll(() => worker.log(), { timeout: 60_000 }).toContain('Activity not found on completion');
    const lines = worker.log().split('\n');
    const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(told.filter(({ sdkComponent }) => sdkComponent === 'core')).toEqual([
      expect.objectContaining({ details: 'workflow execution already completed' }),
    ]);
    for (const line of lines) expect(line).not.toMatch(/MetadataMap|headers|set-cookie|canary|application\/grpc/);
  });
});

describe('the headers of a failed call', () => {
  const HEADER = JSON.stringify(`Bearer "{${CANARY}`);
  const STATUS = `Status { code: Internal, metadata: MetadataMap { headers: {"authorization": ${HEADER}, "b": ["x}", Sensitive]} }, source: None }`;

  it.each([
    ['in an error', 'it failed', { error: new Error(STATUS) }],
    ['in a field', 'it failed', { taskQueue: 'q', failure: STATUS }],
    ['in the message', `it failed: ${STATUS}`, {}],
    ['in a response', 'it failed', { error: `Response { status: 502, headers: {"set-cookie": ${HEADER}}, body: () }` }],
    ['printed in another way', 'it failed', { error: `call(MetadataMap(["set-cookie: ${CANARY}"])` }],
  ])('are left out %s, and the rest is told', (_, message, meta) => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => lines.push(line) });
    temporalLogger(log).warn(message, { sdkComponent: 'core', ...meta });
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toMatch(/MetadataMap|canary|authorization|set-cookie|Bearer/);
    expect(lines[0]).toContain('it failed');
    expect(lines[0]).toMatch(/Status \{ code: Internal, source: None \}|status: 502, body: \(\)|call\(…/);
  });
});
