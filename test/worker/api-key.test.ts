import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scrub } from '../../activities/secrets.js';
import { localTarget } from '../../temporal/connection.js';
import { ApiKeyFile, withApiKey } from '../../worker/api-key.js';
import { SettingsError } from '../../worker/settings.js';

let directory: string;
let path: string;
const write = (text: string) => writeFileSync(path, text);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'uplift-api-key-'));
  path = join(directory, 'key');
  write('first-api-key\n');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Followed {
  /** Keys that the connection was given. */
  readonly given: readonly string[];
  readonly said: readonly string[];
  /** Milliseconds that were slept before each look. */
  readonly slept: readonly number[];
}

/** Follows the file on a clock that does one of these things at each sleep, before the look that comes after it. */
async function follow(meanwhile: readonly (() => void)[], refused: readonly string[] = []): Promise<Followed> {
  const [given, said, slept]: [string[], string[], number[]] = [[], [], []];
  const refusals = [...refused];
  const ending = new AbortController();
  const file = new ApiKeyFile(path);
  expect(file.read()).toBe('first-api-key');
  const sleep = async (ms: number) => {
    const next = meanwhile[slept.length];
    if (next === undefined) {
      ending.abort();
      return;
    }
    slept.push(ms);
    next();
  };
  const setApiKey = async (key: string) => {
    given.push(key);
    const [refusal] = refusals.splice(0, 1);
    if (refusal !== undefined) throw new Error(refusal);
  };
  const log = { info: (line: string) => said.push(line), warn: (line: string) => said.push(line) };
  await file.follow({ setApiKey }, { now: () => 0, sleep }, log as never, ending.signal);
  return { given, said, slept };
}

const nothing = () => {};
const USED = 'the new API key for Temporal is used from now on';
const STAYS = 'the API key for Temporal stays as it was: ';

describe('an API key from a file', () => {
  it('is exchanged when the file has another one, once, and looked at twice a minute', async () => {
    const { given, said, slept } = await follow([nothing, () => write('second-api-key'), nothing, nothing]);
    expect(given).toEqual(['second-api-key']);
    expect(said).toEqual([USED]);
    expect(slept).toEqual([30_000, 30_000, 30_000, 30_000]);
  });

  it('stays in use while the file is empty or gone, and the next one is used', async () => {
    const { given, said } = await follow([
      () => write(' \n'),
      () => rmSync(path),
      () => write('first-api-key'),
      () => write('second-api-key\n'),
    ]);
    const gone = expect.stringMatching(`^${STAYS}ENOENT: .*${path}`) as string;
    expect(said).toEqual([`${STAYS}${path} is empty`, gone, USED]);
    expect(given).toEqual(['second-api-key']);
  });

  it('is given again where the connection did not take it', async () => {
    const { given, said } = await follow([() => write('second-api-key'), nothing, nothing], ['it is\nclosing']);
    expect(given).toEqual(['second-api-key', 'second-api-key']);
    expect(said).toEqual([`${STAYS}it is closing`, USED]);
  });

  it('is a secret from when it is read', async () => {
    await follow([() => write('an-api-key-of-this-test')]);
    expect(scrub('first-api-key, then an-api-key-of-this-test')).toBe('***, then ***');
  });

  it('has to be there when the worker starts', () => {
    const objection = (text: string | null) => {
      if (text === null) rmSync(path);
      else write(text);
      return () => new ApiKeyFile(path).read();
    };
    expect(objection(' \n')).toThrow(SettingsError);
    expect(objection('')).toThrow(`UPLIFT_API_KEY_FILE: ${path} is empty (name a file that holds the key alone)`);
    expect(objection(null)).toThrow(/^UPLIFT_API_KEY_FILE: ENOENT: .* \(name a file that holds the key alone\)$/);
  });

  it('goes before what the profile says', () => {
    const target = { ...localTarget(), options: { address: 'x:7233', apiKey: 'of-the-profile', tls: true } };
    expect(withApiKey(target, 'of-the-file').options).toEqual({ address: 'x:7233', apiKey: 'of-the-file', tls: true });
  });
});
