/** Reads encrypted payloads for the Temporal UI, in the browser of who holds the keys: the server never sees them. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { EncryptionError } from '../temporal/encryption.js';
import { LOOPBACK } from '../temporal/ports.js';

export interface CodecServerOptions {
  readonly codec: Pick<PayloadCodec, 'decode'>;
  readonly port: number;
  /** Of the UI, as in `http://127.0.0.1:8233`: pages of no other may ask. */
  readonly origin: string;
  /** When set, asked for as `Authorization: Bearer …`. */
  readonly token: string | null;
}

const MAX_BYTES = 16 * 1024 * 1024;
const { Payloads } = proto.temporal.api.common.v1;

/** Serves `POST /decode` on loopback. It encrypts nothing: whoever could make it encrypt could forge what workers read. */
export async function startCodecServer(options: CodecServerOptions): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(request, response, options).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port, LOOPBACK, resolve);
  });
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, options: CodecServerOptions): Promise<void> {
  const { origin } = request.headers;
  const end = (status: number, body = '') => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  };
  response.setHeader('vary', 'origin');
  // A browser names the page's origin with every POST, so that a page of another one learns nothing.
  if (origin !== undefined && origin !== options.origin) return end(403);
  response.setHeader('access-control-allow-origin', options.origin);
  response.setHeader('access-control-allow-methods', 'POST');
  response.setHeader('access-control-allow-headers', 'content-type, authorization, x-namespace');
  if (request.method === 'OPTIONS') return end(204);
  if (request.method !== 'POST' || request.url?.replace(/\?.*/, '') !== '/decode') return end(404);
  if (options.token !== null && !isSame(request.headers.authorization ?? '', `Bearer ${options.token}`))
    return end(401);

  const body = await bodyOf(request);
  try {
    const { payloads } = Payloads.fromObject(JSON.parse(body) as Record<string, unknown>);
    const decoded = Payloads.create({ payloads: await options.codec.decode(payloads) });
    end(200, JSON.stringify(Payloads.toObject(decoded, { bytes: String })));
  } catch (error) {
    // The parser's own words could quote what was sent.
    end(400, JSON.stringify({ error: error instanceof EncryptionError ? error.message : 'not a list of payloads' }));
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new RangeError('larger than any page of payloads');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function isSame(given: string, wanted: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(wanted));
}
