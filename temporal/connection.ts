import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { ClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection } from '@temporalio/worker';
import { dataConverterFrom } from './data-converter.js';
import { TemporalSetupError, lineOf } from './errors.js';
import { LOOPBACK } from './ports.js';
import { checkedProfile } from './profile.js';
import { refuseWrongVariables, SETTINGS, variableOf } from './variables.js';

/** The port of a Temporal server unless something else is said; the embedded one's as well. */
export const DEFAULT_PORT = 7233;

/** For a server's first answer. The SDK's own bounds are 10 s for a client, and 30 s for a worker. */
const CONNECT_TIMEOUT_MS = 5_000;
const API_KEY_FILE = 'UPLIFT_API_KEY_FILE';
const ACTOR_METADATA = 'uplift-actor';

/** A server to use. `options` may hold credentials: never to be printed. */
export interface ServerTarget {
  /** host:port. */
  readonly address: string;
  readonly namespace: string;
  readonly options: ClientConnectConfig['connectionOptions'];
}

/** A server on this machine, without TLS or credentials. */
export function localTarget(address = `${LOOPBACK}:${DEFAULT_PORT}`, namespace = 'default'): ServerTarget {
  return { address, namespace, options: { address } };
}

/**
 * The server that the environment or a profile of `temporal.toml` names, as every Temporal tool reads it; `null` when
 * neither `TEMPORAL_PROFILE` nor an address is there. Then the embedded server is meant.
 *
 * @throws TemporalSetupError for a profile, file or variable that cannot be read or used, and for credentials in a profile
 *   that `TEMPORAL_PROFILE` names, when nothing says whose they are.
 */
export function configuredTarget(env: NodeJS.ProcessEnv = process.env): ServerTarget | null {
  const { connectionOptions, namespace } = loadConfig(env);
  if (!connectionOptions.address && !env['TEMPORAL_PROFILE']) return null;
  if (!connectionOptions.address) refuseCredentials(connectionOptions, env);
  const address = connectionOptions.address ?? `${LOOPBACK}:${DEFAULT_PORT}`;
  return { address, namespace: namespace ?? 'default', options: { ...connectionOptions, address } };
}

/**
 * The server that the environment or a profile names; without one, that of this machine.
 *
 * @throws TemporalSetupError as `configuredTarget`, and for credentials when nothing says whose they are.
 */
export function targetOrLocal(env: NodeJS.ProcessEnv = process.env): ServerTarget {
  const target = configuredTarget(env);
  if (target !== null) return target;
  const { connectionOptions, namespace } = loadConfig(env);
  refuseCredentials(connectionOptions, env);
  return localTarget(undefined, namespace);
}

/** @throws TemporalSetupError when there are any, or TLS: what is meant is not the plain server of this machine */
function refuseCredentials(options: ServerTarget['options'], env: NodeJS.ProcessEnv): void {
  const found = {
    api_key: options.apiKey,
    tls: options.tls,
    'grpc_meta.authorization': Object.keys(options.metadata ?? {}).find((name) => /^authorization$/i.test(name)),
  };
  const [key] = Object.entries(found).find(([, value]) => Boolean(value)) ?? [];
  const what = env[API_KEY_FILE] ? API_KEY_FILE : key === undefined ? null : placeOf(key, env);
  if (what === null) return;
  throw new TemporalSetupError(
    `${what} is set, and nothing says for which server`,
    'set TEMPORAL_ADDRESS, or give the profile an address, or leave it out',
  );
}

/** Where a key, or one below it, is set: a variable goes before the profile. */
function placeOf(key: string, env: NodeJS.ProcessEnv): string {
  const keys = [key, ...Object.keys(SETTINGS).filter((one) => one.startsWith(`${key}.`))];
  const variable = keys.map(variableOf).find((name) => env[name] !== undefined);
  return variable ?? `${key} of profile ${env['TEMPORAL_PROFILE'] ?? 'default'}`;
}

/**
 * Who acts by the profile in use: `uplift-actor` of its `grpc_meta` (or `TEMPORAL_GRPC_META_UPLIFT_ACTOR`), which goes to
 * the server with every call; `null` where there is none.
 *
 * @throws TemporalSetupError for a profile or file that cannot be read.
 */
export function configuredActor(env: NodeJS.ProcessEnv = process.env): string | null {
  return loadConfig(env).connectionOptions.metadata?.[ACTOR_METADATA]?.toString() ?? null;
}

function loadConfig(env: NodeJS.ProcessEnv): ClientConnectConfig {
  refuseWrongVariables(env);
  const defined = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return loadClientConnectConfig({
    configSource: { data: checkedProfile(env) },
    overrideEnvVars: Object.fromEntries(defined),
  });
}

/**
 * A client on an open connection, with the encryption keys of `env`; close it by `client.connection.close()`.
 *
 * @param identity what the server's events name as the sender of a message; left out: the process and its machine
 * @throws TemporalSetupError when the server does not answer within 5 s, or for keys that are none.
 */
export async function connectClient(
  target: ServerTarget,
  env: Readonly<Record<string, string | undefined>> = process.env,
  identity?: string,
): Promise<Client> {
  // Only workers write failures.
  const { payloadCodecs = [] } = dataConverterFrom(env);
  try {
    const connection = await promptly(Connection.connect(target.options));
    const sender = identity === undefined ? {} : { identity };
    return new Client({ connection, namespace: target.namespace, dataConverter: { payloadCodecs }, ...sender });
  } catch (error) {
    throw unreachable(target, error);
  }
}

/**
 * A connection for workers; close it after the last worker's end.
 *
 * @throws TemporalSetupError when the server does not answer within 5 s.
 */
export async function connectWorker(target: ServerTarget): Promise<NativeConnection> {
  // Loaded here, since everybody else who connects can do without the SDK's worker.
  const { NativeConnection } = await import('@temporalio/worker');
  try {
    return await promptly(NativeConnection.connect(target.options));
  } catch (error) {
    throw unreachable(target, error);
  }
}

/** @throws Error when it takes longer than a server that is there */
async function promptly<T extends { close(): Promise<void> }>(connecting: Promise<T>): Promise<T> {
  const settled = new AbortController();
  const late = delay(CONNECT_TIMEOUT_MS, null, { signal: settled.signal }).then(() => {
    // What comes of it after all is nobody's.
    connecting.then((connection) => connection.close()).catch(() => {});
    throw new Error(`it has not answered within ${CONNECT_TIMEOUT_MS / 1000} s`);
  });
  try {
    return await Promise.race([connecting, late]);
  } finally {
    settled.abort();
  }
}

function unreachable(target: ServerTarget, error: unknown): TemporalSetupError {
  // Neither side of a handshake that comes to nothing says why.
  const tls = target.options.tls ? ', or turn TLS off by TEMPORAL_TLS=false if it has none' : '';
  return new TemporalSetupError(
    `Temporal at ${target.address} cannot be reached: ${cause(error)}`,
    `start it, e.g. with \`uplift dev\`, or set TEMPORAL_ADDRESS or TEMPORAL_PROFILE to one that runs${tls}`,
  );
}

/** The native connection prints its error as a nest of Rust structures, the cause quoted innermost. */
function cause(error: unknown): string {
  const line = lineOf(error);
  return /.*(?:message|error): "([^"]+)"/.exec(line)?.[1] ?? line;
}
