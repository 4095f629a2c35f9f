/**
 * The variables by which every Temporal tool is told of a server. The SDK passes over a misspelt one, and takes a wrong
 * value for none or hands it on to where nobody can tell what was wrong: so they are looked at before.
 */
import { readFileSync } from 'node:fs';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { TemporalSetupError } from './errors.js';
import { misspelt, nearest } from './spelling.js';

/** What a value has to be; `certificates` and `key` are the path of a PEM file. */
type Kind = 'address' | 'text' | 'flag' | 'certificates' | 'key';

/**
 * Those that the SDK reads (https://docs.temporal.io/develop/environment-configuration); `null` where the text may be
 * anything.
 */
const READ: Readonly<Record<string, Kind | null>> = {
  TEMPORAL_ADDRESS: 'address',
  TEMPORAL_NAMESPACE: 'text',
  TEMPORAL_PROFILE: 'text',
  TEMPORAL_CONFIG_FILE: 'text',
  TEMPORAL_API_KEY: 'text',
  TEMPORAL_TLS: 'flag',
  TEMPORAL_TLS_SERVER_NAME: 'text',
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: 'certificates',
  TEMPORAL_TLS_SERVER_CA_CERT_DATA: null,
  TEMPORAL_TLS_CLIENT_CERT_PATH: 'certificates',
  TEMPORAL_TLS_CLIENT_CERT_DATA: null,
  TEMPORAL_TLS_CLIENT_KEY_PATH: 'key',
  TEMPORAL_TLS_CLIENT_KEY_DATA: null,
  TEMPORAL_TLS_DISABLE_HOST_VERIFICATION: 'flag',
  TEMPORAL_CODEC_ENDPOINT: null,
  TEMPORAL_CODEC_AUTH: null,
};

/** Those that `temporal`, Temporal's own command, and the SDK's worker read besides. */
const OTHERS = [
  'TEMPORAL_ENV',
  'TEMPORAL_TLS_CA',
  'TEMPORAL_TLS_CA_DATA',
  'TEMPORAL_TLS_CERT',
  'TEMPORAL_TLS_CERT_DATA',
  'TEMPORAL_TLS_KEY',
  'TEMPORAL_TLS_KEY_DATA',
  'TEMPORAL_CLI_SHOW_STACKS',
  'TEMPORAL_VERSION_CHECK_DISABLED',
  'TEMPORAL_DEBUG',
  'TEMPORAL_DEBUGGER_PLUGIN_URL',
  'TEMPORAL_OTEL_DEBUG',
];

const KNOWN = Object.keys(READ);
/** An unknown one of these is like none of ours only because it is longer, and would leave TLS or the key out. */
const OF_A_CONNECTION = /^TEMPORAL_(TLS|API_?KEY)_/;
const FLAGS = ['true', '1', 'false', '0'];
const METADATA = 'TEMPORAL_GRPC_META_';

/**
 * @throws TemporalSetupError for a variable that is misspelt, and for a value that cannot be used; of values only
 *   addresses, flags and paths are quoted
 */
export function refuseWrongVariables(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(env)) {
    if (KNOWN.includes(name) || OTHERS.includes(name) || name.startsWith(METADATA)) continue;
    const isOfConnection = OF_A_CONNECTION.test(name);
    const meant = misspelt(name, KNOWN) ?? (isOfConnection ? nearest(name, KNOWN) : null);
    if (meant === null && !isOfConnection) continue;
    throw new TemporalSetupError(
      `${name} is not a setting`,
      meant === null ? 'remove it' : `did you mean ${meant}? If not, remove it`,
    );
  }
  for (const [name, kind] of Object.entries(READ)) {
    const value = env[name];
    if (value !== undefined && kind !== null) refuseWrongValue(name, kind, value);
  }
  for (const one of ['SERVER_CA_CERT', 'CLIENT_CERT', 'CLIENT_KEY']) {
    const [path, data] = [`TEMPORAL_TLS_${one}_PATH`, `TEMPORAL_TLS_${one}_DATA`];
    if (env[path] !== undefined && env[data] !== undefined) {
      throw new TemporalSetupError(`${path} and ${data} are both set`, 'set one of them');
    }
  }
}

function refuseWrongValue(where: string, kind: Kind, value: string): void {
  const refuse = (what: string, remedy: string): never => {
    throw new TemporalSetupError(`${where}${what}`, remedy);
  };
  if (kind === 'flag') {
    if (FLAGS.includes(value)) return;
    refuse(`: ${JSON.stringify(value)} cannot be used`, 'use true or false');
  }
  if (value === '') refuse(' is empty', 'leave it out, or give it a value');
  if (/[\r\n]/.test(value.trim())) refuse(' has several lines', 'give it one alone');
  if (value !== value.trim()) {
    refuse(' begins or ends with white space', 'remove it; the line ends of Windows are white space too');
  }
  if (/^(["']).*\1$/.test(value)) refuse(' has quotes within its value', 'remove them');
  if (kind === 'address' && !isAddress(value)) {
    refuse(`: ${JSON.stringify(value)} is no address`, 'use host:port, as in temporal.example.com:7233');
  }
  if (kind === 'certificates' || kind === 'key') {
    const objection = objectionToPem(value, kind);
    if (objection !== null) refuse(`: ${JSON.stringify(value)} ${objection}`, 'correct its path, or the file');
  }
}

/** host or host:port, as gRPC takes them. */
export function isAddress(text: string): boolean {
  const [, host, port = '1'] = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/i.exec(text) ?? [];
  return host !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}

function objectionToPem(path: string, kind: 'certificates' | 'key'): string | null {
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (error) {
    return `cannot be read: ${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'}`;
  }
  try {
    if (kind === 'key') createPrivateKey(pem);
    // A certificate is read in its binary form as well, which gRPC does not take.
    else if (!pem.includes('-----BEGIN') || new X509Certificate(pem).raw.length === 0) throw new Error('no PEM');
    return null;
  } catch {
    return `holds no ${kind === 'key' ? 'private key without a passphrase' : 'certificate'} in PEM`;
  }
}
