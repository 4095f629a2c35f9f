/**
 * Starts the simulated clouds for the vendors' clients: prints where they are and the keys as one line of JSON, and ends
 * when stdin does, so that it cannot outlive the tests.
 */
import { DEMO_PROJECT, DEMO_UID, seedInventory } from '../../dist/simulator/inventory.js';
import { startSimulator } from '../../dist/simulator/server.js';

const huawei = {
  account: 'huawei',
  cloud: 'huawei',
  owner: DEMO_PROJECT,
  accessKeyId: 'ORACLEHUAWEI',
  secret: 'h+/=1',
};
const alibaba = { account: 'alibaba', cloud: 'alibaba', owner: DEMO_UID, accessKeyId: 'ORACLEALI', secret: 'a+/=1' };
const keys = {
  huawei,
  huaweiTemporary: { ...huawei, accessKeyId: 'ORACLEHUAWEITEMPORARY', securityToken: 'token/+=' },
  alibaba,
  alibabaTemporary: { ...alibaba, accessKeyId: 'STS.ORACLEALI', securityToken: 'token/+=' },
};

const simulator = await startSimulator({
  seed: 'oracles',
  credentials: Object.values(keys),
  inventory: seedInventory({
    seed: 'oracles',
    graphs: 14,
    engines: 8,
    caches: 9,
    clusters: 13,
    durationMs: { min: 1_000, max: 2_000 },
    graphFates: { 'rolls-back': 2 },
    engineFates: { 'rolls-back': 2 },
    cacheFates: { 'rolls-back': 2 },
    clusterFates: { 'rolls-back': 1, 'precheck-fails': 1 },
  }),
});
// Only a graph that is being created tells how far that is.
const [graph] = simulator.inventory.now().filter(({ family, fate }) => family === 'ges' && fate === 'succeeds');
simulator.inventory.change(graph.id, { status: '100' });
process.stdout.write(`${JSON.stringify({ url: simulator.url, keys })}\n`);
process.stdin.resume().once('end', () => void simulator.close());
