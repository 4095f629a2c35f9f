/**
 * The profile of `temporal.toml` in use. The SDK takes what is of a wrong type as it comes, and half a pair of certificate
 * and key for none: so the profile is looked at before. Of others nothing is said.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { TemporalSetupError } from './errors.js';
import { refusedFile } from './secret-file.js';
import { nearest } from './spelling.js';
import { refuseWrongValue, SETTINGS, variableOf } from './variables.js';

/**
 * The text of `temporal.toml` for the SDK, once the profile in use has been looked at, together with the variables that go
 * before its keys; of a file without it, an empty one.
 *
 * @throws TemporalSetupError naming file, profile and key; no value is quoted but an address, a flag and a path
 */
export function checkedProfile(env: NodeJS.ProcessEnv): string {
  const file = configFile(env);
  const text = file === null ? '' : read(file, env);
  const name = env['TEMPORAL_PROFILE'] ?? 'default';
  const profile = profileIn(file, text, name, env);
  const where = `${file}, profile ${name}: `;
  const values = profile === null ? {} : settingsOf(profile, where);
  for (const [key, value] of Object.entries(values)) {
    // A variable was looked at by itself.
    if (env[variableOf(key)] === undefined) refuseWrongValue(`${where}${key}`, SETTINGS[key] ?? 'header', value);
  }
  refuseHalves((key) => {
    const variable = variableOf(key);
    if (env[variable] !== undefined) return variable;
    return values[key] === undefined ? null : `${where}${key}`;
  });
  return profile === null ? '[profile]' : text;
}

/** Where every Temporal tool looks for it; `null` when nothing is there, and no variable says that it is. */
function configFile(env: NodeJS.ProcessEnv): string | null {
  const named = env['TEMPORAL_CONFIG_FILE'];
  if (named !== undefined) return named;
  const folder = configFolder(env);
  const file = folder === null ? null : join(folder, 'temporalio', 'temporal.toml');
  return file !== null && existsSync(file) ? file : null;
}

function configFolder({ APPDATA, HOME, XDG_CONFIG_HOME }: NodeJS.ProcessEnv): string | null {
  if (process.platform === 'win32') return APPDATA || null;
  if (XDG_CONFIG_HOME && process.platform !== 'darwin') return isAbsolute(XDG_CONFIG_HOME) ? XDG_CONFIG_HOME : null;
  if (!HOME) return null;
  return process.platform === 'darwin' ? join(HOME, 'Library', 'Application Support') : join(HOME, '.config');
}

function read(file: string, env: NodeJS.ProcessEnv): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    if (env['TEMPORAL_CONFIG_FILE'] === undefined) {
      throw new TemporalSetupError(
        `${file} cannot be read: ${code}`,
        'correct it, or name another by TEMPORAL_CONFIG_FILE',
      );
    }
    throw refusedFile(
      'TEMPORAL_CONFIG_FILE',
      file,
      `cannot be read: ${code}`,
      'correct its path, or leave the variable out',
    );
  }
}

type Table = Readonly<Record<string, unknown>>;

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function profileIn(file: string | null, text: string, name: string, env: NodeJS.ProcessEnv): Table | null {
  const { profile: profiles = {}, ...others } = file === null ? {} : parsed(file, text);
  const [stray] = Object.keys(others);
  if (stray !== undefined) {
    throw new TemporalSetupError(
      `${file}: ${stray} is not a key`,
      'all keys belong to a profile, below a line as [profile.default]',
    );
  }
  const found = isTable(profiles) ? profiles[name] : profiles;
  if (found === undefined && env['TEMPORAL_PROFILE'] === undefined) return null;
  if (found === undefined) {
    const known = isTable(profiles) ? Object.keys(profiles).join(', ') : '';
    const place = file === null ? 'is in no temporal.toml, since there is none' : `is not in ${file}`;
    const there = known === '' ? 'it has none' : `it has ${known}`;
    throw new TemporalSetupError(
      `TEMPORAL_PROFILE: profile ${JSON.stringify(name)} ${place}`,
      file === null ? 'name the file by TEMPORAL_CONFIG_FILE' : there,
    );
  }
  if (isTable(found)) return found;
  throw new TemporalSetupError(`${file}: profile ${name} must be a table`, `write its keys below [profile.${name}]`);
}

function parsed(file: string, text: string): Table {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The parser quotes the line that it cannot read, and an API key may stand there: so its place alone.
    throw new TemporalSetupError(`${file}, line ${error.line}, column ${error.column} is no TOML`, 'correct that line');
  }
}

/** By its keys, `tls.server_name` as well; flags as words. */
function settingsOf(profile: Table, where: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(profile)) {
    if (!['tls', 'codec', 'grpc_meta'].includes(key)) found[key] = settingOf(key, value, where);
    else if (isTable(value)) {
      for (const [inner, one] of Object.entries(value)) {
        found[`${key}.${inner}`] = settingOf(`${key}.${inner}`, one, where);
      }
    } else throw new TemporalSetupError(`${where}${key} must be a table`, 'as in examples/temporal.toml');
  }
  return found;
}

function settingOf(key: string, value: unknown, where: string): string {
  const kind = key.startsWith('grpc_meta.') ? 'header' : SETTINGS[key];
  if (kind === undefined) {
    const near = nearest(key, Object.keys(SETTINGS));
    throw new TemporalSetupError(
      `${where}${key} is not a key`,
      near === null ? `there are ${Object.keys(SETTINGS).join(', ')}` : `did you mean ${near}?`,
    );
  }
  if (kind === 'flag' && typeof value === 'boolean') return String(value);
  if (kind === 'flag') throw new TemporalSetupError(`${where}${key} must be true or false`, 'without quotes');
  if (typeof value === 'string') return value;
  throw new TemporalSetupError(`${where}${key} must be text`, `put it in quotes`);
}

/** Of a certificate and its key either alone has no effect, and of a path and a text the SDK takes neither. */
function refuseHalves(placeOf: (key: string) => string | null): void {
  const sources = ['server_ca_cert', 'client_cert', 'client_key'].map((one) => {
    const [path, data] = [placeOf(`tls.${one}_path`), placeOf(`tls.${one}_data`)];
    if (path === null || data === null) return path ?? data;
    throw new TemporalSetupError(`${path} and ${data} are both set`, 'set one of them');
  });
  const [, certificate = null, key = null] = sources;
  if ((certificate === null) === (key === null)) return;
  const missing = certificate === null ? 'certificate' : 'key';
  throw new TemporalSetupError(`${certificate ?? key} is set without its ${missing}`, 'set both, or neither');
}
