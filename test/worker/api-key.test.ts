import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scrub } from '../../activities/secrets.js';
import { localTarget } from '../../temporal/connection.js';
import { ApiKeyFile, withApiKey } from '../../worker/api-key.js';

let directory: string;
let path: string;
const write = (text: string) => writeFileSync(path, text, { mode: 0o600 });

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

  it('stays in use while the file is empty, gone or open to others, and the next one is used', async () => {
    const { given, said } = await follow([
      () => write(' \n'),
      () => rmSync(path),
      () => {
        write('second-api-key\n');
        chmodSync(path, 0o640);
      },
      () => chmodSync(path, 0o600),
    ]);
    expect(said).toEqual([
      `${STAYS}UPLIFT_API_KEY_FILE: "${path}" is empty (name a file that holds the key alone, on one line)`,
      `${STAYS}UPLIFT_API_KEY_FILE: "${path}" cannot be read: ENOENT (create it with mode 600)`,
      `${STAYS}UPLIFT_API_KEY_FILE: "${path}" can be read or written by others (its mode is 640: chmod 600 ${path})`,
      USED,
    ]);
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

  it.each([
    ['', 'is empty'],
    [' \r\n', 'is empty'],
    ['not-to-be-shown\nnor-this-one\n', 'holds more than a key'],
    ['Bearer not-to-be-shown', 'holds more than a key'],
    ['n\0o\0t\0', 'holds more than a key'],
  ])('has to be alone in its file when the worker starts: %j', (text, objection) => {
    write(text);
    expect(() => new ApiKeyFile(path).read()).toThrow(
      `UPLIFT_API_KEY_FILE: "${path}" ${objection} (name a file that holds the key alone, on one line)`,
    );
  });

  it('may have line ends of Windows', () => {
    write('\uFEFFfirst-api-key\r\n');
    expect(new ApiKeyFile(path).read()).toBe('first-api-key');
  });

  it('has to be there, and for nobody else, when the worker starts', () => {
    const read = () => new ApiKeyFile(path).read();
    chmodSync(path, 0o644);
    expect(read).toThrow(
      `UPLIFT_API_KEY_FILE: "${path}" can be read or written by others (its mode is 644: chmod 600 ${path})`,
    );
    rmSync(path);
    expect(read).toThrow(`UPLIFT_API_KEY_FILE: "${path}" cannot be read: ENOENT (create it with mode 600)`);
  });

  it('goes before what the profile says', () => {
    const target = { ...localTarget(), options: { address: 'x:7233', apiKey: 'of-the-profile', tls: true } };
    expect(withApiKey(target, 'of-the-file').options).toEqual({ address: 'x:7233', apiKey: 'of-the-file', tls: true });
  });
});
