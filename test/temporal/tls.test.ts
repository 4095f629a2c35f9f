/** A Temporal server behind TLS that wants a certificate of its clients, as a profile or the environment describes it. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configuredTarget, connectClient, connectWorker, type ServerTarget } from '../../temporal/connection.js';
import type { DevServer } from '../../temporal/dev-server.js';
import { makeCertificates } from '../support/certificates.js';
import { startTestServer } from '../support/environment.js';

const { ca, cert, key } = makeCertificates();
let directory: string;
let temporal: DevServer;
let proxy: Server;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uplift-tls-'));
  temporal = await startTestServer();
  const [host, port] = temporal.address.split(':');
  const options = { ca, cert, key, requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] };
  proxy = createServer(options, (socket: TLSSocket) => {
    const inner = connect(Number(port), host);
    socket.pipe(inner).pipe(socket);
    const end = () => [socket, inner].forEach((one) => one.destroy());
    socket.once('error', end).once('close', end);
    inner.once('error', end).once('close', end);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const file = async (name: string, text: string) => {
    await writeFile(join(directory, name), text);
    return join(directory, name);
  };
  env = {
    TEMPORAL_CONFIG_FILE: await file('empty.toml', '[profile]\n'),
    TEMPORAL_ADDRESS: `127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    TEMPORAL_TLS_SERVER_CA_CERT_PATH: await file('ca.pem', ca),
    TEMPORAL_TLS_CLIENT_CERT_PATH: await file('cert.pem', cert),
    TEMPORAL_TLS_CLIENT_KEY_PATH: await file('key.pem', key),
  };
});
afterAll(async () => {
  proxy.close();
  await temporal.stop();
  await rm(directory, { recursive: true, force: true });
});

function target(over: NodeJS.ProcessEnv = {}): ServerTarget {
  const found = configuredTarget({ ...env, ...over });
  if (found === null) throw new Error('no server is configured');
  return found;
}

describe('a server behind TLS', () => {
  it('is reached by commands and workers with its authority and a certificate of their own', async () => {
    const client = await connectClient(target(), {});
    expect((await client.workflowService.getSystemInfo({})).serverVersion).not.toBe('');
    await client.connection.close();
    const worker = await connectWorker(target());
    expect((await worker.workflowService.getSystemInfo({})).serverVersion).not.toBe('');
    await worker.close();
  });

  it('is reached by a profile that says the same', async () => {
    const file = join(directory, 'temporal.toml');
    await writeFile(
      file,
      `[profile.own]
address = "${env['TEMPORAL_ADDRESS']}"
[profile.own.tls]
server_ca_cert_path = "${env['TEMPORAL_TLS_SERVER_CA_CERT_PATH']}"
client_cert_path = "${env['TEMPORAL_TLS_CLIENT_CERT_PATH']}"
client_key_path = "${env['TEMPORAL_TLS_CLIENT_KEY_PATH']}"
`,
    );
    const profile = configuredTarget({ TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'own' });
    if (profile === null) throw new Error('the profile names no server');
    const client = await connectClient(profile, {});
    expect((await client.workflowService.getSystemInfo({})).serverVersion).not.toBe('');
    await client.connection.close();
  });

  it('is refused in one line when another authority is named, or no certificate is shown', async () => {
    const other = join(directory, 'other.pem');
    await writeFile(other, makeCertificates().ca);
    const cases = [
      { TEMPORAL_TLS_SERVER_CA_CERT_PATH: other },
      { TEMPORAL_TLS_CLIENT_CERT_PATH: undefined, TEMPORAL_TLS_CLIENT_KEY_PATH: undefined },
    ];
    for (const over of cases) {
      for (const connectTo of [(to: ServerTarget) => connectClient(to, {}), connectWorker]) {
        const failed = connectTo(target(over)).then(
          () => 'connected',
          (error: Error) => error.message,
        );
        expect(await failed).toMatch(/^Temporal at 127\.0\.0\.1:\d+ cannot be reached: [^\n]+$/);
      }
    }
  });
});
