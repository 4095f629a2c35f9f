/** A private cloud whose certificate no public authority knows. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { apiFor, CLOUD_APIS } from '../../activities/clouds/index.js';
import type { CloudApi } from '../../activities/clouds/port.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import { createTransport, type Transport } from '../../activities/transport.js';
import { loadAccounts } from '../../plan/accounts.js';
import { makeCertificates } from '../support/certificates.js';
import { CLOUD_ENV } from '../support/clouds.js';

const GRAPHS = { graph_count: 0, graphs: [] };
const certificates = makeCertificates();
const ges = apiFor(CLOUD_APIS, 'ges-v2') as CloudApi;
let directory: string;
let server: Server;
let transport: Transport;
let asked: string[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uplift-ca-'));
  asked = [];
  server = createServer({ cert: certificates.cert, key: certificates.key }, (request, response) => {
    asked.push(request.method ?? '');
    response.setHeader('content-type', 'application/json').end(JSON.stringify(GRAPHS));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  transport = createTransport({ clock: systemClock });
  await writeFile(join(directory, 'ca.pem'), certificates.ca);
  await writeFile(join(directory, 'other.pem'), makeCertificates().ca);
  await writeFile(join(directory, 'none.pem'), 'SECRET-canary');
});
afterAll(async () => {
  await transport.close();
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true, force: true });
});

async function sessionsWith(caFile: string | null) {
  const { port } = server.address() as AddressInfo;
  const account = `{ cloud: huawei, region: eu-west-101, projectId: p1, endpoints: { ges: https://127.0.0.1:${port} }`;
  const file = join(directory, 'accounts.yaml');
  await writeFile(file, `accounts:\n  own: ${account}${caFile === null ? '' : `, caFile: ${caFile}`} }\n`);
  return openSessions({ accounts: loadAccounts(file, CLOUD_APIS), clock: systemClock, transport, env: CLOUD_ENV });
}
const list = async (caFile: string | null) => ges.list(await (await sessionsWith(caFile)).reader(ges, 'own'), 0);

describe('an account of a private cloud', () => {
  it('is reached with its authority, by reads and by sends', async () => {
    expect(await list('ca.pem')).toEqual({ resources: [], next: null, total: 0 });
    const sender = await (await sessionsWith('./ca.pem')).sender(ges, 'own');
    const request = { method: 'POST', path: ['v2', 'p1', 'graphs', 'g', 'upgrade'], body: {} } as const;
    const sent = await sender.send(request, { sendBy: Date.now() + 30_000, timeoutMs: 30_000 });
    expect(sent).toMatchObject({ kind: 'answered', response: { status: 200 } });
    expect(asked).toEqual(['GET', 'POST']);
  });

  it.each([
    ['without it', null],
    ['with another one', 'other.pem'],
  ])('is refused %s, before anything was sent', async (_how, caFile) => {
    const before = asked.length;
    await expect(list(caFile)).rejects.toThrow(
      /the certificate of https:\/\/127.0.0.1:\d+ is not trusted \([A-Z_]+; .*caFile\)/,
    );
    const sender = await (await sessionsWith(caFile)).sender(ges, 'own');
    const request = { method: 'POST', path: ['v2', 'p1', 'graphs', 'g', 'upgrade'], body: {} } as const;
    expect(await sender.send(request, { sendBy: Date.now() + 30_000, timeoutMs: 30_000 })).toMatchObject({
      kind: 'not-sent',
    });
    expect(asked).toHaveLength(before);
  });

  it('with a file that is not there, or holds no certificate, is told so in one line', async () => {
    await expect(list('missing.pem')).rejects.toThrow(/^account own: caFile .*missing.pem cannot be read: ENOENT \(/);
    await expect(list('none.pem')).rejects.toThrow(
      /^account own: caFile \S+none.pem holds no certificate \(give it in PEM\)$/,
    );
  });
});
