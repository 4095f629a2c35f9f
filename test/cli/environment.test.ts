/** What an on-call engineer may have written wrongly at night, to the commands as they are run: one line, and exit code 1. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { refuseWrongEnvironment } from '../../client/environment.js';
import { uplift } from './cli.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'uplift-environment-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const WHITE = 'begins or ends with white space (remove it; the line ends of Windows are white space too)';

it.each<[args: string[], env: NodeJS.ProcessEnv, line: string]>([
  [['worker', '--name', ''], {}, '--name is empty (give it a value, or leave it out)'],
  [['worker', '--accounts', ' '], {}, '--accounts is empty (give it a value, or leave it out)'],
  [['worker'], { UPLIFT_ACCOUNTS: '' }, 'UPLIFT_ACCOUNTS is empty (give it a value, or leave it out)'],
  [['worker', 'drain', '--deployment', ''], {}, '--deployment is empty (give it a value, or leave it out)'],
  [['status', '--namespace', ''], {}, '--namespace is empty (give it a value, or leave it out)'],
  [['status', ''], {}, 'the argument rollout is empty (give it a value)'],
  [['pause', 'prod', '--reason', ''], {}, '--reason is empty (give it a value)'],
  [
    ['status', '--namespace', 'ops\r'],
    {},
    '--namespace ends with a line end of Windows (remove it, also from the script)',
  ],
  [['status', 'prod\r'], {}, 'the argument rollout ends with a line end of Windows (remove it, also from the script)'],
  [['dev', '--directory', ''], {}, '--directory is empty (give it a value, or leave it out)'],
  [['doctor'], { UPLIFT_ACTOR: "'ana'" }, 'UPLIFT_ACTOR has quotes within its value (remove them)'],
  [['worker'], { UPLIFT_BUILD_ID: 'v1\r' }, `UPLIFT_BUILD_ID ${WHITE}`],
  [['worker'], { UPLIFT_METRICS_PORT: '9464' }, ''],
  [
    ['doctor'],
    { TEMPORAL_ADRESS: 'x:7233' },
    'TEMPORAL_ADRESS is not a setting (did you mean TEMPORAL_ADDRESS? If not, remove it)',
  ],
])('uplift %j with %j', async (args, env, line) => {
  const { code, stdout, stderr } = await uplift(args, env, folder);
  // The last one to be told of, where nothing is wrong with words and variables, is the accounts file that is not there.
  const expected = line === '' ? /^accounts\.yaml: / : `uplift: ${line}\n`;
  if (typeof expected === 'string') expect(stderr).toBe(expected);
  else expect(stderr).toMatch(expected);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
});

it('tells an address that is none, as of the wrong protocol', async () => {
  const { code, stderr } = await uplift(['status', '--address', 'http://x:7233']);
  expect(stderr.split('\n')[0]).toBe(
    "error: option '--address <host:port>' argument 'http://x:7233' is invalid. Use host:port, as in temporal.example.com:7233.",
  );
  expect(code).toBe(1);
});

it.each([
  ['UPLIFT_WAITS_SLOTS', 'UPLIFT_WAIT_SLOTS'],
  ['UPLIFT_ACCOUNT', 'UPLIFT_ACCOUNTS'],
  ['UPLIFT_METRICS', 'UPLIFT_METRICS_ADDRESS'],
  ['UPLFIT_ACTOR', 'UPLIFT_ACTOR'],
  ['UPLIF_CACHE', 'UPLIFT_CACHE'],
  ['UPLIFTS_DEBUG', 'UPLIFT_DEBUG'],
  ['uplift_log_level', 'UPLIFT_LOG_LEVEL'],
])('takes %s for a misspelt %s', async (name, meant) => {
  await expect(refuseWrongEnvironment({ [name]: 'not-to-be-shown' })).rejects.toThrow(
    `${name} is not a setting (did you mean ${meant}? If not, give it another name)`,
  );
});

it('says of a key that a file is to be named, since else it would be put in the path’s place', async () => {
  await expect(refuseWrongEnvironment({ UPLIFT_API_KEY: 'not-to-be-shown' })).rejects.toThrow(
    /^UPLIFT_API_KEY is not a setting \(did you mean UPLIFT_API_KEY_FILE\? It names a file\)$/,
  );
});

it.each(['UPLIFT_CODEC_TOKEN', 'UPLIFT_ENCRYPTION_KEYS_FILE', 'UPLIFT_CACHE'])('refuses an empty %s', async (name) => {
  await expect(refuseWrongEnvironment({ [name]: '' })).rejects.toThrow(
    `${name} is empty (leave it out, or give it a value)`,
  );
});

it.each(['localhost:8233', '127.0.0.1:8233', 'ftp://x', 'http://'])('refuses the page %s', async (UPLIFT_UI) => {
  await expect(refuseWrongEnvironment({ UPLIFT_UI })).rejects.toThrow(
    `UPLIFT_UI: "${UPLIFT_UI}" is no address of a page`,
  );
});

it('leaves alone what is right, and what is somebody else’s', async () => {
  const env = {
    UPLIFT_UI: 'https://temporal.example.com/ui',
    UPLIFT_ACCOUNTS_FILE: '',
    UPLIFT_ENCRYPTION_KEYS: '',
    // An account's credentials, and a cluster's service by our name.
    UPLIFT_AK: 'a',
    UPLIFT_PROD_ACCESS_KEY_ID: 'b',
    UPLIFT_ACCOUNT_SK: 'c',
    UPLIFT_PORT: 'tcp://10.0.0.1:9464',
    UPLIFT_SERVICE_PORT_METRICS: '9464',
    USER_NAME: 'd',
    // Other products.
    UPLINK_DEBUG: '1',
    UPLINK_CACHE: '/var/cache/uplink',
    UPSHIFT_CACHE: '/var/cache/upshift',
  };
  await expect(refuseWrongEnvironment(env)).resolves.toBeUndefined();
});
