import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { EncryptionCodec, encryptionKeysFrom } from './encryption.js';

/** `require`d by the SDK and bundled with the workflows; of plain JavaScript, so that it is there when built. */
const FAILURE_CONVERTER = fileURLToPath(new URL('./failure-converter.js', import.meta.url));

/**
 * How everything that talks to Temporal reads and writes payloads: workers, clients and commands alike. With encryption
 * keys in the environment all payloads and failures are encrypted; without them they are plain, and encrypted ones are
 * refused with the id of the key that is missing.
 *
 * @throws TemporalSetupError for keys that are none.
 */
export function dataConverterFrom(env: Readonly<Record<string, string | undefined>>): DataConverter {
  const keys = encryptionKeysFrom(env);
  return {
    payloadCodecs: [new EncryptionCodec(keys)],
    ...(keys.length === 0 ? {} : { failureConverterPath: FAILURE_CONVERTER }),
  };
}
