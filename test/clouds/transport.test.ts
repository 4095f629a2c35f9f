/** The transport against servers made of bare sockets, which can misbehave in every way that counts. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../activities/clock.js';
import { createTransport, TransportError, type HttpCall, type Transport } from '../../activities/transport.js';

/** A server that keeps every byte it was sent. */
class RawServer {
  received = '';
  connections = 0;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(serve: (socket: Socket, request: string) => void, onConnect: (socket: Socket) => void = () => {}) {
    this.server = createServer((socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
      onConnect(socket);
      socket.on('data', (chunk) => {
        this.received += chunk.toString();
        serve(socket, chunk.toString());
      });
    });
  }

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

const servers: RawServer[] = [];
const transports: Transport[] = [];

afterEach(async () => {
  await Promise.all(transports.splice(0).map((transport) => transport.close()));
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serve(...[onRequest, onConnect]: ConstructorParameters<typeof RawServer>) {
  const server = new RawServer(onRequest, onConnect);
  servers.push(server);
  return { server, origin: await server.listen() };
}

function transport(options: Partial<Parameters<typeof createTransport>[0]> = {}): Transport {
  const made = createTransport({ clock: systemClock, ...options });
  transports.push(made);
  return made;
}

function post(origin: string, more: Partial<HttpCall> = {}): HttpCall {
  return { method: 'POST', origin, path: '/v2/p/graphs/g/upgrade', headers: {}, body: '{"a":1}', ...more };
}

const answer = (body: string, head = 'HTTP/1.1 200 OK', length = Buffer.byteLength(body)): string =>
  `${head}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`;
const never = Number.POSITIVE_INFINITY;

async function failure(promise: Promise<unknown>): Promise<TransportError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TransportError);
  return error as TransportError;
}

describe('answers', () => {
  it('gives status, headers and parsed body, and the time of the socket write', async () => {
    const { origin, server } = await serve((socket) => socket.write(answer('{"jobId":"j1"}')));
    const clock: Clock = { ...systemClock, now: () => 4711 };
    const { at, response } = await transport({ clock }).send(post(origin), never);
    expect(at).toBe(4711);
    expect(response).toMatchObject({ status: 200, json: { jobId: 'j1' }, text: '{"jobId":"j1"}' });
    expect(response.headers['content-type']).toBe('application/json');
    expect(server.received).toMatch(/^POST \/v2\/p\/graphs\/g\/upgrade HTTP\/1\.1\r\n[^]*\{"a":1\}$/);
  });

  it.each([
    ['HTML', '<html>busy</html>'],
    ['a half JSON', '{"graph":{"id"'],
    ['nothing', ''],
  ])('has no json where the body is %s', async (_name, body) => {
    const { origin } = await serve((socket) => socket.write(answer(body, 'HTTP/1.1 502 Bad Gateway')));
    const { response } = await transport().read(post(origin));
    expect(response).toMatchObject({ status: 502, text: body });
    expect(response.json).toBeUndefined();
  });

  it('follows no redirect', async () => {
    const { origin, server } = await serve((socket) =>
      socket.write('HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n'),
    );
    const { response } = await transport().send(post(origin), never);
    expect(response.status).toBe(307);
    expect(server.received.match(/POST/g)).toHaveLength(1);
  });

  it('waits for the real answer after an informational one', async () => {
    const { origin } = await serve((socket) => {
      socket.write(`HTTP/1.1 102 Processing\r\n\r\n${answer('{"ok":1}')}`);
    });
    const { response } = await transport().send(post(origin), never);
    expect(response).toMatchObject({ status: 200, json: { ok: 1 } });
  });
});

describe('connections', () => {
  it('reuses one for reads, and never for sends', async () => {
    const { origin, server } = await serve((socket) => socket.write(answer('{}')));
    const http = transport();
    for (let round = 0; round < 3; round++) {
      await http.read(post(origin, { method: 'GET', body: null }));
      // The pool puts the connection back a moment after the answer.
      await nextTurn();
    }
    expect(server.connections).toBe(1);
    for (let round = 0; round < 3; round++) await http.send(post(origin), never);
    expect(server.connections).toBe(4);
  });
});

describe('never sent', () => {
  it('says so of a refused connection', async () => {
    const { origin, server } = await serve(() => {});
    await server.close();
    servers.pop();
    for (const error of [
      await failure(transport().send(post(origin), never)),
      await failure(transport().read(post(origin))),
    ]) {
      expect(error.sentAt).toBeNull();
      expect(error.message).toContain('refused');
    }
  });

  it('says so of a host that does not resolve', async () => {
    const error = await failure(transport().send(post('https://ges.nowhere.invalid'), never));
    expect(error.sentAt).toBeNull();
    expect(error.message).toContain('ges.nowhere.invalid');
  });

  it('says so of a TLS handshake that fails', async () => {
    const { origin } = await serve((socket) => socket.end('this is no TLS\r\n'));
    const error = await failure(transport().send(post(origin.replace('http:', 'https:')), never));
    expect(error.sentAt).toBeNull();
  });

  it('says so of a connection that is not made in time', async () => {
    // The handshake never gets an answer, so no request is ever written.
    const { origin } = await serve(() => {});
    const http = transport({ connectTimeoutMs: 100 });
    const error = await failure(http.send(post(origin.replace('http:', 'https:')), never));
    expect(error.sentAt).toBeNull();
    expect(error.message).toContain('within 0.1 s');
  });

  it('writes not one byte once the fence has passed', async () => {
    let connect = (): void => {};
    const connected = new Promise<void>((resolve) => {
      connect = resolve;
    });
    const { origin, server } = await serve(
      (socket) => socket.write(answer('{}')),
      () => connect(),
    );
    const error = await failure(transport({ clock: { ...systemClock, now: () => 2_001 } }).send(post(origin), 2_000));
    expect(error.sentAt).toBeNull();
    expect(error.message).toContain('too late to send');
    // The check came with the connection in hand.
    await connected;
    expect(server.received).toBe('');
  });

  it('sends at the fence itself', async () => {
    const { origin, server } = await serve((socket) => socket.write(answer('{}')));
    await transport({ clock: { ...systemClock, now: () => 2_000 } }).send(post(origin), 2_000);
    expect(server.received).toContain('POST');
  });

  it('writes not one byte when it is cancelled before', async () => {
    const { origin, server } = await serve((socket) => socket.write(answer('{}')));
    const controller = new AbortController();
    const reason = new Error('worker shuts down');
    const http = transport();
    const sending = http.send(post(origin, { signal: controller.signal }), never);
    controller.abort(reason);
    await expect(sending).rejects.toBe(reason);
    const reading = http.read(post(origin, { signal: controller.signal }));
    await expect(reading).rejects.toBe(reason);
    // A whole exchange later nothing of the cancelled one has come.
    await http.read(post(origin, { path: '/after' }));
    expect(server.received).not.toContain('upgrade');
  });
});

describe('sent, answer unknown', () => {
  it('says so of a reset before the request was read', async () => {
    const { origin } = await serve(
      () => {},
      (socket) => setImmediate(() => socket.resetAndDestroy()),
    );
    const error = await failure(transport().send(post(origin, { body: 'x'.repeat(1_000_000) }), never));
    expect(error.sentAt).not.toBeNull();
  });

  it('says so of a reset after the request was read', async () => {
    const { origin, server } = await serve((socket) => socket.resetAndDestroy());
    const error = await failure(transport().send(post(origin), never));
    expect(error.sentAt).not.toBeNull();
    expect(server.received.match(/POST/g)).toHaveLength(1);
  });

  it('says so of a connection that closes without an answer', async () => {
    const { origin, server } = await serve((socket) => socket.end());
    expect((await failure(transport().send(post(origin), never))).sentAt).not.toBeNull();
    expect(server.received.match(/POST/g)).toHaveLength(1);
  });

  it.each([
    ['no headers come', ''],
    ['the headers come slowly', 'HTTP/1.1 200 OK\r\ncontent-le'],
    ['the body stops', answer('{"job', 'HTTP/1.1 200 OK', 100)],
  ])('gives up when %s within the time-out', async (_name, part) => {
    const { origin } = await serve((socket) => {
      if (part !== '') socket.write(part);
    });
    for (const error of [
      await failure(transport().send(post(origin, { timeoutMs: 100 }), never)),
      await failure(transport().read(post(origin, { timeoutMs: 100 }))),
    ]) {
      expect(error.sentAt).not.toBeNull();
      expect(error.message).toContain('no whole answer within 0.1 s');
    }
  });

  it.each([
    ['with a length', answer('{"jobId":"j', 'HTTP/1.1 200 OK', 100)],
    ['in chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n{"jobId"'],
  ])('says so of a body %s that is cut short', async (_name, part) => {
    const { origin } = await serve((socket) => socket.end(part));
    expect((await failure(transport().send(post(origin), never))).sentAt).not.toBeNull();
  });

  it('says so of an answer that is no HTTP', async () => {
    const { origin } = await serve((socket) => socket.end('220 mail.example.org ESMTP\r\n'));
    expect((await failure(transport().send(post(origin), never))).sentAt).not.toBeNull();
  });

  it('gives up on an answer without end', async () => {
    const { origin } = await serve((socket) => socket.write(answer('x'.repeat(2_000))));
    const error = await failure(transport({ maxBodyBytes: 1_000 }).send(post(origin), never));
    expect(error.sentAt).not.toBeNull();
    expect(error.message).toContain('larger than 1000 bytes');
  });

  it('never quotes headers or body', async () => {
    const { origin } = await serve((socket) => socket.resetAndDestroy());
    const headers = { authorization: 'Signature=s3cr3t', 'x-security-token': 's3cr3t' };
    const error = await failure(transport().send(post(origin, { headers, body: '"s3cr3t"' }), never));
    expect(`${error.message} ${error.stack} ${JSON.stringify(error)}`).not.toContain('s3cr3t');
  });

  it('ends a read in the middle when it is cancelled', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled');
    const { origin } = await serve(() => controller.abort(reason));
    await expect(transport().read(post(origin, { signal: controller.signal }))).rejects.toBe(reason);
  });
});
