/**
 * A proxy before Temporal's frontend, for one worker process: lets a test hold or lose a single gRPC call, and cut the
 * worker off. All calls of a worker are unary, so each is passed on whole.
 */
import { connect, createServer, type ClientHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A worker's call that has not reached the server. */
export interface GrpcCall {
  /** `RespondActivityTaskCompleted` */
  readonly method: string;
  /** The message's bytes: enough to find an id or a JSON payload in. */
  readonly message: string;
}

export interface FrontendProxy {
  /** host:port to give the worker. */
  readonly address: string;
  /** Keeps the first matching call from now on from the server, for ever; resolves when it is there. */
  swallow(matches: (call: GrpcCall) => boolean): Promise<GrpcCall>;
  /**
   * From now on nothing reaches the server, nor comes back; `swallow` still tells what the worker tries to say.
   * Heartbeats are answered as if all were well, since an activity's end waits for the last one.
   */
  isolate(): void;
  close(): Promise<void>;
}

/** @param added headers that every answer has besides the server's own, as a gateway adds them */
export async function startFrontendProxy(
  target: string,
  added: Readonly<Record<string, string>> = {},
): Promise<FrontendProxy> {
  const swallows = new Set<(call: GrpcCall) => boolean>();
  const sessions = new Set<{ destroy(): void }>();
  let isolated = false;
  const server = createServer();

  server.on('session', (downstream) => {
    const upstream = connect(`http://${target}`);
    sessions.add(downstream).add(upstream);
    // Either end that breaks takes the other down, as if there were nothing between them.
    upstream.on('error', () => downstream.destroy());
    downstream.on('error', () => upstream.destroy());
    upstream.on('close', () => downstream.destroy());
    downstream.on('close', () => upstream.destroy());
    downstream.on('stream', (stream, headers) => {
      void pass(stream, headers, upstream);
    });
  });

  const pass = async (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    upstream: ClientHttp2Session,
  ): Promise<void> => {
    stream.on('error', () => {});
    const body = await bytesOf(stream);
    const method = (headers[':path'] ?? '').replace(/.*\//, '');
    const call: GrpcCall = { method, message: messageOf(body) };
    for (const swallow of swallows) if (swallow(call)) return;
    if (isolated && method === 'RecordActivityTaskHeartbeat') return answerEmpty(stream);
    if (isolated || upstream.destroyed || stream.destroyed) return;

    const request = upstream.request(headers);
    request.on('error', () => stream.close());
    stream.on('close', () => request.close());
    let trailers: IncomingHttpHeaders = {};
    request.on('trailers', (received) => (trailers = received));
    request.on('response', (received) => {
      void bytesOf(request).then((answer) => {
        if (stream.destroyed) return;
        stream.on('wantTrailers', () => stream.sendTrailers(trailers));
        stream.respond({ ...received, ...added }, { waitForTrailers: Object.keys(trailers).length > 0 });
        stream.end(answer);
      });
    });
    request.end(body);
  };

  const breakAll = () => {
    for (const session of sessions) session.destroy();
    sessions.clear();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    swallow: (matches) =>
      new Promise((resolve) => {
        const swallow = (call: GrpcCall): boolean => {
          if (!matches(call)) return false;
          swallows.delete(swallow);
          resolve(call);
          return true;
        };
        swallows.add(swallow);
      }),
    isolate: () => {
      isolated = true;
      breakAll();
    },
    close: async () => {
      breakAll();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A message without fields. */
function answerEmpty(stream: ServerHttp2Stream): void {
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.end(Buffer.alloc(5));
}

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch {
    // Cut off: what came is all there is.
  }
  return Buffer.concat(chunks);
}

/** Without gRPC's frame: a flag that says whether it is compressed, and four bytes of length. */
function messageOf(body: Buffer): string {
  const message = body.subarray(5);
  return (body[0] === 1 ? gunzipSync(message) : message).toString('latin1');
}
