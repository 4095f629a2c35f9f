import { describe, expect, it } from 'vitest';
import { SettingsError, WORKER_VARIABLES, workerSettings } from '../../worker/settings.js';

function objection(env: Record<string, string>): string {
  try {
    workerSettings(env);
    return '';
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return (error as Error).message;
  }
}

describe('the variables of a worker', () => {
  it('have presets, of which endpoints and versioning are off', () => {
    expect(workerSettings({})).toEqual({
      UPLIFT_QUEUES: ['main'],
      UPLIFT_READ_SLOTS: 2_000,
      UPLIFT_SUBMIT_SLOTS: 50,
      UPLIFT_WAIT_SLOTS: 2_000,
      UPLIFT_WORKFLOW_SLOTS: 40,
      UPLIFT_CACHED_WORKFLOWS: 1_000,
      UPLIFT_SHUTDOWN_TIMEOUT: 60_000,
      UPLIFT_LOG_LEVEL: 'info',
    });
  });

  it('are read as numbers, durations and addresses', () => {
    const env = {
      UPLIFT_WAIT_SLOTS: '5000',
      UPLIFT_SHUTDOWN_TIMEOUT: '1.5m',
      UPLIFT_METRICS_ADDRESS: '0.0.0.0:9464',
      UPLIFT_HEALTH_ADDRESS: '[::1]:80',
    };
    expect(workerSettings(env)).toMatchObject({
      UPLIFT_WAIT_SLOTS: 5_000,
      UPLIFT_SHUTDOWN_TIMEOUT: 90_000,
      UPLIFT_METRICS_ADDRESS: { host: '0.0.0.0', port: 9464 },
      UPLIFT_HEALTH_ADDRESS: { host: '::1', port: 80 },
    });
  });

  it.each([
    ['UPLIFT_WAIT_SLOTS', '0', 'use a whole number from 1 to 20000'],
    ['UPLIFT_WAIT_SLOTS', '2e3', 'use a whole number from 1 to 20000'],
    ['UPLIFT_SUBMIT_SLOTS', '', 'use a whole number from 1 to 1000'],
    ['UPLIFT_SHUTDOWN_TIMEOUT', '60', 'use a number and a unit from 1s to 10m, as in 90s'],
    ['UPLIFT_SHUTDOWN_TIMEOUT', '2h', 'use a number and a unit from 1s to 10m, as in 90s'],
    ['UPLIFT_METRICS_ADDRESS', '9464', 'use host:port, as in 127.0.0.1:9464 or 0.0.0.0:9464'],
    ['UPLIFT_HEALTH_ADDRESS', 'localhost:99999', 'use host:port, as in 127.0.0.1:9464 or 0.0.0.0:9464'],
    ['UPLIFT_QUEUES', 'main,', "use main and accounts' queues, as in main,prod"],
    ['UPLIFT_QUEUES', 'prod,prod', "use main and accounts' queues, as in main,prod"],
    ['UPLIFT_METRICS_ADDRESS', 'localhost:9464', 'use an IP address and a port, as in 127.0.0.1:9464 or 0.0.0.0:9464'],
    ['UPLIFT_DEPLOYMENT', '', 'leave it out, or give it a name without colons'],
    ['UPLIFT_DEPLOYMENT', 'my:dep', 'leave it out, or give it a name without colons'],
    ['UPLIFT_LOG_LEVEL', 'loud', 'use one of: trace, debug, info, warn, error'],
  ])('%s=%s is refused with its name and the remedy', (name, value, remedy) => {
    expect(objection({ [name]: value })).toBe(`${name}: ${JSON.stringify(value)} cannot be used (${remedy})`);
  });

  it('are all named that cannot be used, each on a line', () => {
    const lines = objection({ UPLIFT_READ_SLOTS: 'x', UPLIFT_LOG_LEVEL: 'x' }).split('\n');
    expect(lines.map((line) => line.split(':')[0])).toEqual(['UPLIFT_READ_SLOTS', 'UPLIFT_LOG_LEVEL']);
  });

  it('refuse a build that no deployment is named for', () => {
    expect(objection({ UPLIFT_BUILD_ID: 'v1' })).toBe(
      'UPLIFT_BUILD_ID is set without UPLIFT_DEPLOYMENT, so no worker would be versioned (set both, or neither)',
    );
    const both = { UPLIFT_BUILD_ID: 'v1', UPLIFT_DEPLOYMENT: 'fleet' };
    expect(workerSettings(both)).toMatchObject(both);
  });

  it('are each described, for the reference', () => {
    for (const [name, { description = '' }] of Object.entries(WORKER_VARIABLES.shape)) {
      expect(description, name).not.toBe('');
    }
  });
});
