import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EncryptionCodec, encryptionKeysFrom } from '../../temporal/encryption.js';

const [OLD, NEW] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
const codec = (...lines: string[]) =>
  new EncryptionCodec(encryptionKeysFrom({ UPLIFT_ENCRYPTION_KEYS: lines.join('\n') }));
const payloadOf = (value: unknown): Payload => defaultPayloadConverter.toPayload(value) as Payload;
const valueOf = (payload: Payload | undefined): unknown => payload && defaultPayloadConverter.fromPayload(payload);

async function sealed(value: unknown, ...lines: string[]): Promise<Payload> {
  const [payload] = await codec(...lines).encode([payloadOf(value)]);
  if (payload === undefined) throw new Error('no payload');
  return payload;
}

/** The payload with one bit of one byte turned, counted from the end where negative. */
function withBitTurned({ metadata, data }: Payload, at: number): Payload {
  const changed = Buffer.from(data ?? []);
  const index = at < 0 ? changed.length + at : at;
  changed[index] = (changed[index] ?? 0) ^ 1;
  return { metadata: metadata ?? null, data: changed };
}

describe('the codec', () => {
  it('gives back what it took, whatever it was, and shows nothing of it', async () => {
    const values = [{ resource: 'graph-4711' }, 'graph-4711', null, undefined, new Uint8Array([1, 2]), 'x'.repeat(1e5)];
    for (const value of values) {
      const payload = await sealed(value, `new:${NEW}`);
      expect(Buffer.from(payload.data ?? []).includes('graph-4711')).toBe(false);
      expect(Object.keys(payload.metadata ?? {}).sort()).toEqual(['encoding', 'encryption-key-id']);
      expect(valueOf((await codec(`new:${NEW}`).decode([payload]))[0])).toEqual(value);
    }
  });

  it('never makes the same twice', async () => {
    const [one, two] = [await sealed('same', `k:${NEW}`), await sealed('same', `k:${NEW}`)];
    expect(one.data).not.toEqual(two.data);
    expect(one.data?.subarray(0, 12)).not.toEqual(two.data?.subarray(0, 12));
  });

  it('encrypts with the first key and decrypts with all of them', async () => {
    const before = await sealed('before', `old:${OLD}`);
    const rotated = codec(`new:${NEW}`, `old:${OLD}`);
    expect(valueOf((await rotated.decode([before]))[0])).toBe('before');
    const [after] = await rotated.encode([payloadOf('after')]);
    expect(Buffer.from(after?.metadata?.['encryption-key-id'] ?? []).toString()).toBe('new');
    expect(valueOf((await codec(`new:${NEW}`).decode([after as Payload]))[0])).toBe('after');
  });

  it('reads what was written before there was a key, and writes plainly without one', async () => {
    const plain = payloadOf({ a: 1 });
    expect(await codec(`new:${NEW}`).decode([plain])).toEqual([plain]);
    expect(await codec().encode([plain])).toEqual([plain]);
  });

  it.each([
    ['the nonce', 0],
    ['the text', 14],
    ['the tag', -1],
  ])('refuses a payload whose %s was changed', async (_part, at) => {
    const changed = withBitTurned(await sealed('x'.repeat(40), `k:${NEW}`), at);
    await expect(codec(`k:${NEW}`).decode([changed])).rejects.toThrow(
      'what Temporal holds cannot be decrypted with key k: it was changed, or another key has this id',
    );
  });

  it('refuses a payload that was cut short, or put under another key’s id', async () => {
    const payload = await sealed('x', `k:${NEW}`);
    for (const length of [0, 5, 12, 20, 28]) {
      const cut = { ...payload, data: (payload.data ?? new Uint8Array()).subarray(0, length) };
      await expect(codec(`k:${NEW}`).decode([cut])).rejects.toThrow('cannot be decrypted with key k');
    }
    const renamed = { ...payload, metadata: { ...payload.metadata, 'encryption-key-id': Buffer.from('other') } };
    // The same bytes as a key: only the id, which the tag vouches for, is wrong.
    await expect(codec(`k:${NEW}`, `other:${NEW}`).decode([renamed])).rejects.toThrow('with key other');
  });

  it.each([
    ['another key', [`other:${OLD}`]],
    ['no key', []],
  ])('with %s says which one is missing, in one line', async (_what, lines) => {
    const payload = await sealed('x', `k-2026:${NEW}`);
    await expect(codec(...lines).decode([payload])).rejects.toThrow(
      /^what Temporal holds is encrypted with key k-2026, which is not here \(give it in UPLIFT_ENCRYPTION_KEYS or .*\)$/,
    );
  });
});

describe('keys', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'uplift-keys-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const file = async (text: string, mode = 0o600): Promise<Record<string, string>> => {
    const path = join(directory, 'keys');
    await writeFile(path, text);
    await chmod(path, mode);
    return { UPLIFT_ENCRYPTION_KEYS_FILE: path };
  };

  it('come from a file with remarks and empty lines', async () => {
    const keys = encryptionKeysFrom(await file(`# rotated in November\n\nnew:${NEW}\r\nold:${OLD}\n`));
    expect(keys.map(({ id }) => id)).toEqual(['new', 'old']);
    expect(Buffer.from(keys[1]?.key ?? []).toString('base64')).toBe(OLD);
  });

  it('are none where nothing is set', () => {
    expect(encryptionKeysFrom({})).toEqual([]);
  });

  it.each([
    ['no id', NEW, 'UPLIFT_ENCRYPTION_KEYS, line 1 is no encryption key'],
    ['no base64', 'k:SECRET-canary!', 'UPLIFT_ENCRYPTION_KEYS, line 1 is no encryption key'],
    ['another length', 'k:U0VDUkVULWNhbmFyeQ==', 'UPLIFT_ENCRYPTION_KEYS, line 1: key k has 13 bytes instead of 32'],
    ['an id twice', `k:${NEW}\nk:${OLD}`, 'UPLIFT_ENCRYPTION_KEYS, line 2: there is a key k before it'],
  ])('with %s are refused by line, and not quoted', (_what, text, message) => {
    let told = '';
    try {
      encryptionKeysFrom({ UPLIFT_ENCRYPTION_KEYS: text });
    } catch (error) {
      told = String(error);
    }
    expect(told).toContain(message);
    for (const secret of [NEW, OLD, 'canary', 'U0VD']) expect(told).not.toContain(secret);
  });

  it.each(['UPLIFT_ENCRYPTION_KEY', 'UPLIFT_ENCRYPTION_KEY_FILE', 'UPLIFT_ENCRYPTION_KEYS_PATH'])(
    'are not passed over in %s, which would leave all in plain text',
    (name) => {
      const message = `${name} is not a setting (use UPLIFT_ENCRYPTION_KEYS or UPLIFT_ENCRYPTION_KEYS_FILE)`;
      expect(() => encryptionKeysFrom({ [name]: `k:${NEW}` })).toThrow(message);
    },
  );

  it('of a file that others can read, that is not there or holds none are refused', async () => {
    const open = await file(`k:${NEW}`, 0o644);
    expect(() => encryptionKeysFrom(open)).toThrow(/can be read or written by others \(its mode is 644: chmod 600 /);
    expect(() => encryptionKeysFrom({ UPLIFT_ENCRYPTION_KEYS_FILE: join(directory, 'none') })).toThrow('ENOENT');
    const empty = await file('# nothing\n');
    expect(() => encryptionKeysFrom(empty)).toThrow('holds no encryption key');
    expect(() => encryptionKeysFrom({ ...empty, UPLIFT_ENCRYPTION_KEYS: `k:${NEW}` })).toThrow('are both set');
  });
});
