/**
 * The simulated clouds: one HTTP server on loopback that answers as Huawei Cloud and Alibaba Cloud do, misbehaves as
 * they do when told to, and keeps a record of what really happened.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { systemClock, type Clock } from '../activities/clock.js';
import { elasticsearch } from './alibaba/elasticsearch.js';
import { Faults, faultRule } from './faults.js';
import { cse } from './huawei/cse.js';
import { dcs } from './huawei/dcs.js';
import { ges } from './huawei/ges.js';
import { Iam } from './huawei/iam.js';
import { Inventory } from './inventory.js';
import type { SimulatedCredentials, SimulatedResource } from './model.js';
import { type CallWatcher, Requests, type Answer } from './requests.js';
import type { SimulatedService } from './service.js';
import { Store } from './store.js';
import type { Truth } from './truth.js';

export interface SimulatorOptions {
  /** 0, or left out: any free port. */
  readonly port?: number;
  /** Never more than loopback: faults are set and truth is read without a signature. */
  readonly host?: '127.0.0.1';
  /** Operations progress by it, and signatures are judged by it. */
  readonly clock?: Clock;
  /** Faults, ids and failed checks follow from it. */
  readonly seed?: string;
  readonly services?: readonly SimulatedService[];
  /** The access keys that signatures are verified with. */
  readonly credentials: readonly SimulatedCredentials[];
  /** What there is at the start; a state file has its own. */
  readonly inventory?: readonly SimulatedResource[];
  /** Where the state is kept, so that a killed simulator comes back with its truth. */
  readonly stateFile?: string;
  /** How long IAM's tokens last, in milliseconds of the clock; 24 hours when left out. */
  readonly tokenMs?: number;
  /** For tests: told of every call, and may hold it. */
  readonly onCall?: CallWatcher;
}

export interface Simulator {
  /** `http://127.0.0.1:40123` */
  readonly url: string;
  /** Base URL per service family: all the same here, since no two services share a path. */
  readonly endpoints: Readonly<Record<string, string>>;
  readonly inventory: Inventory;
  readonly faults: Faults;
  readonly iam: Iam;
  /** A copy of the truth record as it stands. */
  truth(): Truth;
  /** Ends every connection, and writes the state. */
  close(): Promise<void>;
}

/** All services that there are. */
export const SERVICES: readonly SimulatedService[] = [ges, cse, dcs, elasticsearch];

const MAX_BODY_BYTES = 1024 * 1024;

/** @throws Error when the port is taken or the state file is none */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const clock = options.clock ?? systemClock;
  const services = options.services ?? SERVICES;
  const store = new Store(options.seed ?? 'uplift', options.inventory ?? [], options.stateFile);
  const faults = new Faults(store.state.faults, store.state.seed, store.state.truth.faults, () => store.touch());
  const inventory = new Inventory(store, services, clock);
  const { credentials, onCall, tokenMs } = options;
  const iam = new Iam({ store, credentials, clock, ...(tokenMs === undefined ? {} : { tokenMs }) });
  const requests = new Requests({
    store,
    services,
    credentials,
    iam,
    faults,
    clock,
    ...(onCall === undefined ? {} : { onCall }),
  });

  const control = async (request: IncomingMessage): Promise<Answer | null> => {
    switch (`${request.method} ${request.url}`) {
      case 'GET /_simulator/truth':
        return json(200, store.state.truth);
      case 'GET /_simulator/inventory':
        return json(200, inventory.now());
      case 'POST /_simulator/faults': {
        const rules = parseRules(await readBody(request));
        if (typeof rules === 'string') return json(400, { error: rules });
        if (rules.clear === true) faults.clear();
        faults.add(...(rules.add ?? []));
        return json(200, { fired: faults.fired() });
      }
      case 'POST /_simulator/revoke-tokens':
        return json(200, { revoked: iam.revokeTokens() });
      default:
        return null;
    }
  };

  const server = createServer((request, response) => {
    void answer(request, response);
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      const reply =
        (await control(request)) ?? (await requests.answer(signedRequest(request, await readBody(request))));
      if (reply.kind === 'reset') request.socket.resetAndDestroy();
      else if (reply.kind === 'cut') cut(response, reply);
      else {
        const date = new Date(clock.now()).toUTCString();
        response.writeHead(reply.status, { date, ...reply.headers }).end(reply.body);
      }
    } catch (error) {
      if (request.socket.destroyed) return;
      process.stderr.write(`simulator: ${request.method} ${request.url}: ${String(error)}\n`);
      response.writeHead(500).end();
    }
  };
  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', () => {
      resolve((server.address() as AddressInfo).port);
    });
  });

  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    endpoints: Object.fromEntries(services.map((service) => [service.family, url])),
    inventory,
    faults,
    iam,
    truth: () => structuredClone(store.state.truth),
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      store.close();
    },
  };
}

/** Half of the body, once it has left, is all that the client gets. */
function cut(response: ServerResponse, { status, body }: Answer & { readonly kind: 'cut' }): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.socket?.resetAndDestroy());
}

function json(status: number, value: unknown): Answer {
  return { kind: 'answer', status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('the body is larger than 1 MiB');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function signedRequest(request: IncomingMessage, body: Buffer): Parameters<Requests['answer']>[0] {
  const [path = '', query = ''] = splitOnce(request.url ?? '/', '?');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(',') : value;
  }
  return { method: request.method ?? 'GET', path, query, headers, body };
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

const faultsBody = z.strictObject({ clear: z.boolean().default(false), add: z.array(faultRule).default([]) });
type FaultsRequest = z.input<typeof faultsBody>;

/** The rules, or why they are none. */
function parseRules(body: Buffer): FaultsRequest | string {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return 'the body is no JSON';
  }
  const parsed = faultsBody.safeParse(value);
  // As written, without defaults: a rule that names no chance fires once.
  return parsed.success ? (value as FaultsRequest) : z.prettifyError(parsed.error);
}
