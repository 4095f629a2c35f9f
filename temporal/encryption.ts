/**
 * What leaves this process for the Temporal server, encrypted: AES-256-GCM, a random nonce for each payload, and the
 * key's id beside it, so that keys can be exchanged while rollouts run.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Payload, PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { TemporalSetupError } from './errors.js';
import { readSecretFile } from './secret-file.js';

export interface EncryptionKey {
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** A payload that cannot be read here. Its message is one line and names the key by its id. */
export class EncryptionError extends Error {
  override readonly name = 'EncryptionError';
}

const ENCODING = 'binary/encrypted';
const CIPHER = 'aes-256-gcm';
const KEY_ID = 'encryption-key-id';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const VARIABLE = 'UPLIFT_ENCRYPTION_KEYS';
const FILE_VARIABLE = `${VARIABLE}_FILE`;
const NAMES = [VARIABLE, FILE_VARIABLE];
const FORM = 'one `id:key` a line, the key in base64, as `openssl rand -base64 32` makes it; the first one encrypts';
const WHERE = `in ${VARIABLE} or in the file that ${FILE_VARIABLE} names`;

const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

/**
 * The keys of `UPLIFT_ENCRYPTION_KEYS`, or of the file that `UPLIFT_ENCRYPTION_KEYS_FILE` names: `id:base64`, one a line.
 * The first encrypts, all of them decrypt; none, and nothing is encrypted.
 *
 * @throws TemporalSetupError naming variable or file and line, never what stands there; also for a variable whose name
 *   is almost one of these: passed over, it would leave everything in plain text.
 */
export function encryptionKeysFrom(env: Readonly<Record<string, string | undefined>>): EncryptionKey[] {
  const stray = Object.keys(env).find((name) => name.startsWith('UPLIFT_ENCRYPTION_') && !NAMES.includes(name));
  if (stray !== undefined) throw new TemporalSetupError(`${stray} is not a setting`, `use ${NAMES.join(' or ')}`);
  const given = env[VARIABLE]?.trim() ?? '';
  const file = env[FILE_VARIABLE]?.trim() ?? '';
  if (given !== '' && file !== '') {
    throw new TemporalSetupError(`${VARIABLE} and ${FILE_VARIABLE} are both set`, 'set one of them');
  }
  const source = file === '' ? VARIABLE : file;
  const lines = (file === '' ? given : readSecretFile(FILE_VARIABLE, file)).split(/\r?\n/).map((line) => line.trim());
  const keys: EncryptionKey[] = [];
  for (const [index, line] of lines.entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const where = `${source}, line ${index + 1}`;
    const [, id, text] = /^([A-Za-z0-9][A-Za-z0-9._-]{0,62}):([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? [];
    const key = Buffer.from(text ?? '', 'base64');
    if (id === undefined) throw new TemporalSetupError(`${where} is no encryption key`, FORM);
    if (key.length !== KEY_BYTES) {
      throw new TemporalSetupError(`${where}: key ${id} has ${key.length} bytes instead of ${KEY_BYTES}`, FORM);
    }
    if (keys.some((other) => other.id === id)) {
      throw new TemporalSetupError(`${where}: there is a key ${id} before it`, 'give each key an id of its own');
    }
    keys.push({ id, key });
  }
  if (keys.length === 0 && file !== '') throw new TemporalSetupError(`${file} holds no encryption key`, FORM);
  return keys;
}

/** Encrypts with the first key and decrypts with any; without keys it encrypts nothing and says what it cannot read. */
export class EncryptionCodec implements PayloadCodec {
  private readonly keys: readonly EncryptionKey[];

  constructor(keys: readonly EncryptionKey[]) {
    this.keys = keys;
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    const [newest] = this.keys;
    return newest === undefined ? payloads : payloads.map((payload) => encrypted(payload, newest));
  }

  /** @throws EncryptionError for a key that is not here, and for a payload that was changed. */
  async decode(payloads: Payload[]): Promise<Payload[]> {
    return payloads.map((payload) => (isEncrypted(payload) ? this.decrypted(payload) : payload));
  }

  private decrypted({ metadata, data }: Payload): Payload {
    const id = textOf(metadata?.[KEY_ID]);
    const found = this.keys.find((key) => key.id === id);
    if (found === undefined) {
      // An id is the server's word until the tag has proved it.
      const name = /^[A-Za-z0-9._-]{1,63}$/.test(id) ? id : '(unreadable)';
      throw new EncryptionError(
        `what Temporal holds is encrypted with key ${name}, which is not here (give it ${WHERE})`,
      );
    }
    const sealed = Buffer.from(data ?? []);
    try {
      const decipher = createDecipheriv(CIPHER, found.key, sealed.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(boundTo(id)).setAuthTag(sealed.subarray(-TAG_BYTES));
      const plain = [decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()];
      return PayloadMessage.decode(Buffer.concat(plain));
    } catch {
      throw new EncryptionError(
        `what Temporal holds cannot be decrypted with key ${id}: it was changed, or another key has this id (give the right one ${WHERE})`,
      );
    }
  }
}

function isEncrypted({ metadata }: Payload): boolean {
  return textOf(metadata?.['encoding']) === ENCODING;
}

function encrypted(payload: Payload, { id, key }: EncryptionKey): Payload {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(boundTo(id));
  const plain = PayloadMessage.encode(payload).finish();
  return {
    metadata: { encoding: Buffer.from(ENCODING), [KEY_ID]: Buffer.from(id) },
    data: Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]),
  };
}

/** What the tag vouches for besides the text: which form this is, and whose key. */
function boundTo(id: string): Buffer {
  return Buffer.from(`${ENCODING}/1 ${id}`);
}

function textOf(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString('utf8');
}
