import { type Command, InvalidArgumentError } from 'commander';
import { EncryptionCodec, encryptionKeysFrom } from '../../temporal/encryption.js';
import { assertPortFree } from '../../temporal/ports.js';
import { startCodecServer } from '../codec-server.js';
import { parsePort, say } from '../context.js';
import { UsageError } from '../errors.js';

interface CodecServerCommandOptions {
  readonly port: number;
  readonly origin: string;
}

export function addCodecServer(program: Command): void {
  program
    .command('codec-server')
    .description('let the Temporal UI on this machine read encrypted payloads: decodes on loopback, until Ctrl-C')
    .option('--port <port>', 'where it listens', parsePort, 8888)
    .option('--origin <url>', "the UI's own address: pages of no other may ask", parseOrigin, 'http://127.0.0.1:8233')
    .action(async ({ port, origin }: CodecServerCommandOptions) => {
      const keys = encryptionKeysFrom(process.env);
      if (keys.length === 0) {
        throw new UsageError(
          'there are no encryption keys (set UPLIFT_ENCRYPTION_KEYS or UPLIFT_ENCRYPTION_KEYS_FILE)',
        );
      }
      await assertPortFree(port, 'the codec server');
      const token = process.env['UPLIFT_CODEC_TOKEN'] ?? '';
      const codec = new EncryptionCodec(keys);
      const server = await startCodecServer({ codec, port, origin, token: token === '' ? null : token });
      say(`decodes at http://127.0.0.1:${port} for pages of ${origin} (enter it under the UI's codec server)`);
      await new Promise<void>((resolve) => {
        process.once('SIGINT', resolve).once('SIGTERM', resolve);
      });
      server.close();
      server.closeAllConnections();
    });
}

function parseOrigin(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new InvalidArgumentError('Use scheme, host and port, as in http://127.0.0.1:8233.');
  }
  return new URL(text).origin;
}
