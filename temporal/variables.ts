/**
 * The variables by which every Temporal tool is told of a server. The SDK passes over a misspelt one, and takes a wrong
 * value for none or hands it on to where nobody can tell what was wrong: so they are looked at before.
 */
import { readFileSync } from 'node:fs';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { TemporalSetupError } from './errors.js';
import { isPath, refusedFile } from './secret-file.js';
import { misspelt, nearest } from './spelling.js';

/** What a setting has to be; a `header` goes along with every call, those of a `file` name it, and it is PEM. */
export type Kind = 'address' | 'text' | 'header' | 'flag' | 'anything' | Pem | `${Pem} file`;
type Pem = 'certificate' | 'private key';

/**
 * The keys of a profile, as `temporal.toml` and the SDK name them
 * (https://docs.temporal.io/develop/environment-configuration); a variable goes before each.
 */
export const SETTINGS: Readonly<Record<string, Kind>> = {
  address: 'address',
  namespace: 'text',
  api_key: 'header',
  'tls.disabled': 'flag',
  'tls.server_name': 'text',
  'tls.server_ca_cert_path': 'certificate file',
  'tls.server_ca_cert_data': 'certificate',
  'tls.client_cert_path': 'certificate file',
  'tls.client_cert_data': 'certificate',
  'tls.client_key_path': 'private key file',
  'tls.client_key_data': 'private key',
  'tls.disable_host_verification': 'flag',
  'codec.endpoint': 'anything',
  'codec.auth': 'anything',
};

export function variableOf(key: string): string {
  return key === 'tls.disabled' ? 'TEMPORAL_TLS' : `TEMPORAL_${key.replace('.', '_').toUpperCase()}`;
}

const READ: Readonly<Record<string, Kind>> = {
  TEMPORAL_CONFIG_FILE: 'text',
  TEMPORAL_PROFILE: 'text',
  ...Object.fromEntries(Object.entries(SETTINGS).map(([key, kind]) => [variableOf(key), kind])),
};

/** What the most likely wrong names stand for: by their letters they are nearer to something else. */
const MEANT: Readonly<Record<string, string>> = {
  TEMPORAL_TLS_ENABLE: 'TEMPORAL_TLS',
  TEMPORAL_TLS_ENABLED: 'TEMPORAL_TLS',
  TEMPORAL_TLS_CERT_PATH: 'TEMPORAL_TLS_CLIENT_CERT_PATH',
  TEMPORAL_TLS_KEY_PATH: 'TEMPORAL_TLS_CLIENT_KEY_PATH',
  TEMPORAL_API_KEY_FILE: 'UPLIFT_API_KEY_FILE',
};

/** Those that `temporal`, Temporal's own command, its UI, and the SDK's worker read besides. */
const OTHERS = [
  'TEMPORAL_ENV',
  'TEMPORAL_TLS_CA',
  'TEMPORAL_TLS_CA_DATA',
  'TEMPORAL_TLS_CERT',
  'TEMPORAL_TLS_CERT_DATA',
  'TEMPORAL_TLS_KEY',
  'TEMPORAL_TLS_KEY_DATA',
  'TEMPORAL_TLS_ENABLE_HOST_VERIFICATION',
  'TEMPORAL_CLI_SHOW_STACKS',
  'TEMPORAL_VERSION_CHECK_DISABLED',
  'TEMPORAL_DEBUG',
  'TEMPORAL_DEBUGGER_PLUGIN_URL',
  'TEMPORAL_OTEL_DEBUG',
];

const KNOWN = Object.keys(READ);
/** An unknown one of these is like none of ours only because it is longer, and would leave TLS or the key out. */
const OF_A_CONNECTION = /^TEMPORAL_(TLS|API_?KEY)_/;
/** One with a passphrase cannot be used, since nothing gives it. */
const NAMED = { certificate: 'certificate', 'private key': 'private key without a passphrase' };
const FLAGS = ['true', '1', 'false', '0'];
const METADATA = 'TEMPORAL_GRPC_META_';

/**
 * @throws TemporalSetupError for a variable that is misspelt, and for a value that cannot be used; of values only
 *   addresses, flags and paths are quoted
 */
export function refuseWrongVariables(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(env)) {
    if (KNOWN.includes(name) || OTHERS.includes(name)) continue;
    if (name.startsWith(METADATA)) {
      // An empty one takes the profile's out.
      if (env[name]) refuseWrongValue(name, 'header', env[name]);
      continue;
    }
    const isOfConnection = OF_A_CONNECTION.test(name);
    const meant = MEANT[name.toUpperCase()] ?? misspelt(name, KNOWN) ?? (isOfConnection ? nearest(name, KNOWN) : null);
    if (meant === null && !isOfConnection) continue;
    throw new TemporalSetupError(
      `${name} is not a setting`,
      meant === null ? 'remove it' : `did you mean ${meant}? If not, remove it`,
    );
  }
  for (const [name, kind] of Object.entries(READ)) {
    const value = env[name];
    if (value !== undefined) refuseWrongValue(name, kind, value);
  }
}

/**
 * @param where what holds it: a variable, or a key of a profile
 * @throws TemporalSetupError when it cannot be used
 */
export function refuseWrongValue(where: string, kind: Kind, value: string): void {
  const refuse = (what: string, remedy: string): never => {
    throw new TemporalSetupError(`${where}${what}`, remedy);
  };
  if (kind === 'anything') return;
  if (kind === 'flag') {
    if (!FLAGS.includes(value)) refuse(`: ${JSON.stringify(value)} cannot be used`, 'use true or false');
    return;
  }
  if (value === '') refuse(' is empty', 'leave it out, or give it a value');
  const isFile = kind === 'certificate file' || kind === 'private key file';
  if (isFile && !isPath(value)) throw refusedFile(where, value, '', '');
  if (kind === 'certificate' || kind === 'private key') {
    if (!isPem(kind, value)) refuse(` holds no ${NAMED[kind]} in PEM`, 'give it one, with its lines');
    return;
  }
  if (/[\r\n]/.test(value.trim())) refuse(' has several lines', 'give it one alone');
  if (value !== value.trim()) {
    refuse(' begins or ends with white space', 'remove it; the line ends of Windows are white space too');
  }
  if (kind === 'header' && /[^\x20-\x7e]/.test(value)) {
    refuse(' has characters that a header of a call cannot have', 'use letters, digits and signs of ASCII');
  }
  if (/^(["']).*\1$/.test(value)) refuse(' has quotes within its value', 'remove them');
  if (kind === 'address' && !isAddress(value)) {
    refuse(`: ${JSON.stringify(value)} is no address`, 'use host:port, as in temporal.example.com:7233');
  }
  if (isFile) {
    const objection = objectionToFile(kind === 'certificate file' ? 'certificate' : 'private key', value);
    if (objection !== null) throw refusedFile(where, value, objection, 'correct its path, or the file');
  }
}

/** host or host:port, as gRPC takes them. */
export function isAddress(text: string): boolean {
  const [, host, port = '1'] = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/i.exec(text) ?? [];
  return host !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}

function objectionToFile(kind: Pem, path: string): string | null {
  try {
    return isPem(kind, readFileSync(path, 'utf8')) ? null : `holds no ${NAMED[kind]} in PEM`;
  } catch (error) {
    return `cannot be read: ${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'}`;
  }
}

function isPem(kind: Pem, text: string): boolean {
  try {
    if (kind === 'private key') createPrivateKey(text);
    return kind === 'private key' || new X509Certificate(text).raw.length > 0;
  } catch {
    return false;
  }
}
