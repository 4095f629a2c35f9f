import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  configuredActor,
  configuredTarget,
  connectClient,
  connectWorker,
  localTarget,
  targetOrLocal,
} from '../../temporal/connection.js';
import { resolveTemporal } from '../../temporal/resolve.js';
import { makeCertificates } from '../support/certificates.js';
import { freePort, serverBinary } from '../support/environment.js';

let folder: string;
let withoutConfig: NodeJS.ProcessEnv;
let withConfig: NodeJS.ProcessEnv;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'uplift-connection-'));
  const file = join(folder, 'temporal.toml');
  await writeFile(
    file,
    `[profile.prod]
address = "temporal.example:7233"
namespace = "fleet"
api_key = "not-to-be-shown"
`,
  );
  const empty = join(folder, 'empty.toml');
  await writeFile(empty, '[profile]\n');
  withoutConfig = { TEMPORAL_CONFIG_FILE: empty };
  withConfig = { TEMPORAL_CONFIG_FILE: file };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('configuredTarget', () => {
  it('is nothing without an address or a profile', () => {
    expect(configuredTarget(withoutConfig)).toBeNull();
    expect(configuredTarget(withConfig)).toBeNull();
  });

  it('takes the address from the environment', () => {
    const env = { ...withoutConfig, TEMPORAL_ADDRESS: '10.0.0.1:7233', TEMPORAL_NAMESPACE: 'ops' };
    expect(configuredTarget(env)).toMatchObject({ address: '10.0.0.1:7233', namespace: 'ops' });
  });

  it('takes a profile, with its credentials', () => {
    expect(configuredTarget({ ...withConfig, TEMPORAL_PROFILE: 'prod' })).toMatchObject({
      address: 'temporal.example:7233',
      namespace: 'fleet',
      options: { address: 'temporal.example:7233', apiKey: 'not-to-be-shown', tls: true },
    });
  });

  it('knows who acts by the metadata of a profile', async () => {
    const file = join(folder, 'actors.toml');
    await writeFile(
      file,
      '[profile.ana]\naddress = "x:7233"\n[profile.ana.grpc_meta]\nuplift-actor = "ana@example.com"\n',
    );
    const env = { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'ana' };
    expect(configuredActor(env)).toBe('ana@example.com');
    expect(configuredActor({ ...env, TEMPORAL_GRPC_META_UPLIFT_ACTOR: 'ben' })).toBe('ben');
    expect(configuredActor(withoutConfig)).toBeNull();
    expect(configuredActor({ ...withConfig, TEMPORAL_PROFILE: 'prod' })).toBeNull();
  });

  it('takes each profile of the example, where an API key comes from the environment alone', () => {
    const file = fileURLToPath(new URL('../../examples/temporal.toml', import.meta.url));
    const profile = (name: string) => {
      const env = { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: name };
      return configuredTarget(name === 'cloud' ? { ...env, TEMPORAL_API_KEY: 'not-to-be-shown' } : env);
    };
    expect(profile('compose')).toEqual(localTarget());
    expect(profile('cloud')).toMatchObject({
      namespace: 'uplift.a1b2c',
      options: { apiKey: 'not-to-be-shown', tls: true },
    });
    // Their certificates are read, and are not there.
    for (const name of ['cluster', 'cloud-mtls']) expect(() => profile(name)).toThrow(/\/etc\/uplift\/tls\//);
  });

  it('refuses a profile that is not there', () => {
    expect(() => configuredTarget({ ...withConfig, TEMPORAL_PROFILE: 'nope' })).toThrow(
      `TEMPORAL_PROFILE: profile "nope" is not in ${withConfig['TEMPORAL_CONFIG_FILE']} (it has prod)`,
    );
  });
});

describe('what would be passed over is refused', () => {
  it.each([
    [{ TEMPORAL_TLS: 'yes' }, 'TEMPORAL_TLS: "yes" cannot be used (use true or false)'],
    [{ TEMPORAL_TLS: '' }, 'TEMPORAL_TLS: "" cannot be used (use true or false)'],
    [
      { TEMPORAL_CONFIG_FILE: '/nowhere/temporal.toml' },
      'TEMPORAL_CONFIG_FILE: "/nowhere/temporal.toml" cannot be read: ENOENT (correct its path, or leave the variable out)',
    ],
    [
      { TEMPORAL_TLS_CLIENT_CERT_PATH: '/nowhere/cert.pem', TEMPORAL_TLS_CLIENT_KEY_PATH: '/nowhere/key.pem' },
      'TEMPORAL_TLS_CLIENT_CERT_PATH: "/nowhere/cert.pem" cannot be read: ENOENT (correct its path, or the file)',
    ],
    [
      { TEMPORAL_TLS: 'false', TEMPORAL_TLS_SERVER_CA_CERT_PATH: '/tmp' },
      'TEMPORAL_TLS_SERVER_CA_CERT_PATH: "/tmp" cannot be read: EISDIR (correct its path, or the file)',
    ],
    [
      { TEMPORAL_TLS_SERVER_CA_CERT_PATH: '/dev/null' },
      'TEMPORAL_TLS_SERVER_CA_CERT_PATH: "/dev/null" holds no certificate in PEM (correct its path, or the file)',
    ],
    [
      { TEMPORAL_TLS_CLIENT_KEY_PATH: '/dev/null' },
      'TEMPORAL_TLS_CLIENT_KEY_PATH: "/dev/null" holds no private key without a passphrase in PEM (correct its path, or the file)',
    ],
    [
      { TEMPORAL_TLS_CLIENT_KEY_PATH: '/a', TEMPORAL_TLS_CLIENT_KEY_DATA: 'b' },
      /^TEMPORAL_TLS_CLIENT_KEY_PATH: "\/a" cannot be read: ENOENT/,
    ],
    [
      { TEMPORAL_TLS_CLIENT_KEY_PATH: '-----BEGIN PRIVATE KEY-----\nnot/to.be/shown\n-----END PRIVATE KEY-----\n' },
      /^TEMPORAL_TLS_CLIENT_KEY_PATH: what it names cannot be read \(name a file, not what stands in it\)$/,
    ],
    [
      { TEMPORAL_CONFIG_FILE: 'eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl' },
      /^TEMPORAL_CONFIG_FILE: what it names cannot be read \(name a file, not what stands in it\)$/,
    ],
    [
      { TEMPORAL_TLS_CLIENT_KEY_PATH: '/etc/uplift/key.pem\n' },
      /^TEMPORAL_TLS_CLIENT_KEY_PATH begins or ends with white space/,
    ],
    [{ TEMPORAL_ADDRESS: '' }, 'TEMPORAL_ADDRESS is empty (leave it out, or give it a value)'],
    [{ TEMPORAL_NAMESPACE: '' }, 'TEMPORAL_NAMESPACE is empty (leave it out, or give it a value)'],
    [{ TEMPORAL_PROFILE: '' }, 'TEMPORAL_PROFILE is empty (leave it out, or give it a value)'],
    [{ TEMPORAL_CONFIG_FILE: '' }, 'TEMPORAL_CONFIG_FILE is empty (leave it out, or give it a value)'],
    [{ TEMPORAL_API_KEY: '' }, 'TEMPORAL_API_KEY is empty (leave it out, or give it a value)'],
    [{ TEMPORAL_API_KEY: 'one-key\ntwo-key' }, 'TEMPORAL_API_KEY has several lines (give it one alone)'],
    [
      { TEMPORAL_API_KEY: 'one-key\r' },
      'TEMPORAL_API_KEY begins or ends with white space (remove it; the line ends of Windows are white space too)',
    ],
    [
      { TEMPORAL_API_KEY: 'one-k€y' },
      'TEMPORAL_API_KEY has characters that a header of a call cannot have (use letters, digits and signs of ASCII)',
    ],
    [
      { TEMPORAL_GRPC_META_UPLIFT_ACTOR: 'jürgen' },
      'TEMPORAL_GRPC_META_UPLIFT_ACTOR has characters that a header of a call cannot have (use letters, digits and signs of ASCII)',
    ],
    [{ TEMPORAL_GRPC_META_TEAM: 'ops\r' }, /^TEMPORAL_GRPC_META_TEAM begins or ends with white space/],
    [{ TEMPORAL_NAMESPACE: "'ops'" }, 'TEMPORAL_NAMESPACE has quotes within its value (remove them)'],
    [
      { TEMPORAL_ADDRESS: 'http://x:7233' },
      'TEMPORAL_ADDRESS: "http://x:7233" is no address (use host:port, as in temporal.example.com:7233)',
    ],
    [{ TEMPORAL_ADDRESS: 'x:99999' }, /^TEMPORAL_ADDRESS: "x:99999" is no address/],
    [{ TEMPORAL_ADDRESS: 'x:7233,y:7233' }, /^TEMPORAL_ADDRESS: "x:7233,y:7233" is no address/],
  ])('%j', (variables, message) => {
    expect(() => configuredTarget({ ...withoutConfig, TEMPORAL_ADDRESS: 'x:7233', ...variables })).toThrow(message);
  });

  it.each([
    ['TEMPORAL_ADRESS', 'TEMPORAL_ADDRESS'],
    ['TEMPORAL_ADDR', 'TEMPORAL_ADDRESS'],
    ['temporal_address', 'TEMPORAL_ADDRESS'],
    ['TEMPROAL_ADDRESS', 'TEMPORAL_ADDRESS'],
    ['TEMPORAL_NAME_SPACE', 'TEMPORAL_NAMESPACE'],
    ['TEMPORAL_APIKEY', 'TEMPORAL_API_KEY'],
    ['TEMPORAL_API_KEY_FILE', 'UPLIFT_API_KEY_FILE'],
    ['TEMPORAL_TLS_ENABLED', 'TEMPORAL_TLS'],
    ['TEMPORAL_TLS_ENABLE', 'TEMPORAL_TLS'],
    ['TEMPORAL_TLS_CERT_PATH', 'TEMPORAL_TLS_CLIENT_CERT_PATH'],
    ['TEMPORAL_TLS_KEY_PATH', 'TEMPORAL_TLS_CLIENT_KEY_PATH'],
    ['TEMPORA_NAMESPACE', 'TEMPORAL_NAMESPACE'],
    ['TEMPORAL_TLS_CLIENT_CERT', 'TEMPORAL_TLS_CLIENT_CERT_PATH'],
    ['TEMPORAL_TLS_CA_CERT_PATH', 'TEMPORAL_TLS_SERVER_CA_CERT_PATH'],
    ['TEMPORAL_GRPC_META', null],
  ])('the misspelt variable %s', (name, meant) => {
    const objection = () =>
      configuredTarget({ ...withoutConfig, TEMPORAL_ADDRESS: 'x:7233', [name]: 'not-to-be-shown' });
    if (meant === null) expect(objection).not.toThrow();
    else expect(objection).toThrow(`${name} is not a setting (did you mean ${meant}? If not, remove it)`);
  });

  it.each([
    'TEMPORAL_ENV',
    'TEMPORAL_TLS_CERT',
    'TEMPORAL_TLS_ENABLE_HOST_VERIFICATION',
    'TEMPORAL_CODEC_ENDPOINT',
    'TEMPO_ADDRESS',
    'TEMPORARY_ADDRESS',
    'TEMPORALITE_NAMESPACE',
    'TEMPORAL_DEBUG',
    'TEMPORAL_GRPC_META_TEAM',
    // Of a cluster's service by that name, and of images of the server.
    'TEMPORAL_SERVICE_HOST',
    'TEMPORAL_PORT_7233_TCP_ADDR',
    'TEMPORAL_FRONTEND_SERVICE_PORT',
    'TEMPORAL_VERSION',
  ])('and %s is not, since it is of another tool, or nobody can tell', (name) => {
    const env = { ...withoutConfig, TEMPORAL_ADDRESS: 'x:7233', [name]: 'some value' };
    expect(configuredTarget(env)?.address).toBe('x:7233');
  });

  const NO_SERVER =
    'is set, and nothing says for which server (set TEMPORAL_ADDRESS, or give the profile an address, or leave it out)';

  it.each([
    ['TEMPORAL_API_KEY', 'not-to-be-shown'],
    ['TEMPORAL_TLS', 'true'],
    ['TEMPORAL_TLS_SERVER_NAME', 'x'],
    ['TEMPORAL_GRPC_META_AUTHORIZATION', 'Bearer not-to-be-shown'],
    ['UPLIFT_API_KEY_FILE', '/etc/uplift/api-key'],
  ])('but %s when nothing says for which server', (name, value) => {
    expect(() => targetOrLocal({ ...withoutConfig, [name]: value })).toThrow(`${name} ${NO_SERVER}`);
    expect(targetOrLocal({ ...withoutConfig, [name]: value, TEMPORAL_ADDRESS: 'x:7233' }).address).toBe('x:7233');
  });

  it('and what is no credential is not: this machine’s server is meant', () => {
    const env = { ...withoutConfig, TEMPORAL_NAMESPACE: 'ops', TEMPORAL_TLS: 'false' };
    expect(targetOrLocal(env)).toEqual(localTarget(undefined, 'ops'));
  });

  it.each([
    ['api_key', 'api_key = "not-to-be-shown"\n'],
    ['tls', 'tls = {server_name = "x"}\n'],
    ['grpc_meta.authorization', 'grpc_meta = {authorization = "Bearer not-to-be-shown"}\n'],
  ])('%s of a profile without an address, named or not', async (key, line) => {
    const file = join(folder, 'nowhere.toml');
    await writeFile(file, `[profile.default]\n${line}[profile.p]\n${line}`);
    const env = { TEMPORAL_CONFIG_FILE: file };
    const named = { ...env, TEMPORAL_PROFILE: 'p' };
    expect(() => targetOrLocal(env)).toThrow(`${key} of profile default ${NO_SERVER}`);
    expect(() => targetOrLocal(named)).toThrow(`${key} of profile p ${NO_SERVER}`);
    expect(() => configuredTarget(named)).toThrow(`${key} of profile p ${NO_SERVER}`);
    expect(targetOrLocal({ ...named, TEMPORAL_ADDRESS: 'x:7233' }).address).toBe('x:7233');
  });

  it('the file of an API key beside a profile without an address', async () => {
    const file = join(folder, 'actor-alone.toml');
    await writeFile(file, '[profile.p.grpc_meta]\nuplift-actor = "ana"\n');
    const env = { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'p' };
    expect(targetOrLocal(env).address).toBe('127.0.0.1:7233');
    expect(() => targetOrLocal({ ...env, UPLIFT_API_KEY_FILE: '/etc/uplift/api-key' })).toThrow(
      `UPLIFT_API_KEY_FILE ${NO_SERVER}`,
    );
  });

  it.each([
    ['true', {}],
    ['1', {}],
    ['false', false],
    ['0', false],
  ])('and TEMPORAL_TLS=%s is not', (word, tls) => {
    const target = configuredTarget({ ...withoutConfig, TEMPORAL_ADDRESS: 'x:7233', TEMPORAL_TLS: word });
    expect(target?.options).toMatchObject({ tls });
  });

  it('half a pair of a certificate and its key, wherever they are said', async () => {
    const { cert, key } = makeCertificates();
    const file = join(folder, 'half.toml');
    await writeFile(file, `[profile.p]\naddress = "x:7233"\n[profile.p.tls]\nclient_cert_data = """${cert}"""\n`);
    const env = { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'p' };
    expect(() => configuredTarget(env)).toThrow(
      `${file}, profile p: tls.client_cert_data is set without its key (set both, or neither)`,
    );
    expect(() => configuredTarget({ ...env, TEMPORAL_TLS_CLIENT_CERT_PATH: '/nowhere' })).toThrow(/ENOENT/);
    const whole = configuredTarget({ ...env, TEMPORAL_TLS_CLIENT_KEY_DATA: key });
    const bytes = (text: string) => new TextEncoder().encode(text);
    expect(whole?.options.tls).toMatchObject({ clientCertPair: { crt: bytes(cert), key: bytes(key) } });
    expect(() =>
      configuredTarget({ ...withoutConfig, TEMPORAL_ADDRESS: 'x:7233', TEMPORAL_TLS_CLIENT_KEY_DATA: key }),
    ).toThrow('TEMPORAL_TLS_CLIENT_KEY_DATA is set without its certificate (set both, or neither)');
    const cut = { TEMPORAL_TLS_CLIENT_KEY_DATA: key.slice(0, 90), TEMPORAL_TLS_CLIENT_CERT_DATA: cert };
    expect(() => configuredTarget({ ...withoutConfig, ...cut })).toThrow(
      'TEMPORAL_TLS_CLIENT_KEY_DATA holds no private key without a passphrase in PEM (give it one, with its lines)',
    );
  });
});

describe('a profile that is wrong', () => {
  const here = (text: string) => `[profile.p]\n${text}\n`;
  it.each([
    [here('address = 7'), 'profile p: address must be text (put it in quotes)'],
    [here('address = ""'), 'profile p: address is empty (leave it out, or give it a value)'],
    [here('address = "x:port"'), 'profile p: address: "x:port" is no address (use host:port'],
    [here('adress = "x:7233"'), 'profile p: adress is not a key (did you mean address?)'],
    [here('namespace = 2026-01-01'), 'profile p: namespace must be text (put it in quotes)'],
    [here('api_key = 12'), 'profile p: api_key must be text (put it in quotes)'],
    [here('api_key = " not-to-be-shown"'), 'profile p: api_key begins or ends with white space (remove it'],
    [here('tls = "yes"'), 'profile p: tls must be a table (as in examples/temporal.toml)'],
    [here('tls = {disabled = "yes"}'), 'profile p: tls.disabled must be true or false (without quotes)'],
    [here('tls = {server_nam = "x"}'), 'profile p: tls.server_nam is not a key (did you mean tls.server_name?)'],
    [here('tls = {client_cert_path = 3}'), 'profile p: tls.client_cert_path must be text (put it in quotes)'],
    [
      here('tls = {server_ca_cert_path = "/nowhere"}'),
      'profile p: tls.server_ca_cert_path: "/nowhere" cannot be read: ENOENT (correct its path, or the file)',
    ],
    [
      here('tls = {client_key_path = "-----BEGIN PRIVATE KEY-----not-to-be-shown"}'),
      'profile p: tls.client_key_path: what it names cannot be read (name a file, not what stands in it)',
    ],
    [
      here('tls = {server_ca_cert_data = "not-to-be-shown"}'),
      'profile p: tls.server_ca_cert_data holds no certificate in PEM (give it one, with its lines)',
    ],
    [here('grpc_meta = "x"'), 'profile p: grpc_meta must be a table (as in examples/temporal.toml)'],
    [here('grpc_meta = {team = "Jürgens"}'), 'profile p: grpc_meta.team has characters that a header of a call cannot'],
    [here('grpc_meta = {team = 1}'), 'profile p: grpc_meta.team must be text (put it in quotes)'],
    ['address = "x:7233"', 'address is not a key (all keys belong to a profile, below a line as [profile.default])'],
    ['[profiles.p]', 'profiles is not a key (all keys belong to a profile, below a line as [profile.default])'],
    ['[profile]\np = 3', 'profile p must be a table (write its keys below [profile.p])'],
  ])('is refused with file, profile and key: %j', async (text, objection) => {
    const file = join(folder, 'wrong.toml');
    await writeFile(file, text);
    const read = () => configuredTarget({ TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'p' });
    expect(read).toThrow(`${file}${objection.startsWith('profile p: ') ? ',' : ':'} ${objection}`);
    expect(read).not.toThrow(/not-to-be-shown/);
  });

  it('is no reason to refuse another one, or a variable that goes before it', async () => {
    const file = join(folder, 'other.toml');
    await writeFile(file, '[profile.p]\naddress = "x:7233"\n[profile.q]\naddress = ""\n[profile.r]\nnone = 1\n');
    const env = { TEMPORAL_CONFIG_FILE: file };
    expect(configuredTarget({ ...env, TEMPORAL_PROFILE: 'p' })?.address).toBe('x:7233');
    expect(configuredTarget({ ...env, TEMPORAL_PROFILE: 'q', TEMPORAL_ADDRESS: 'y:7233' })?.address).toBe('y:7233');
  });

  it('is looked for where every Temporal tool does', async () => {
    await mkdir(join(folder, 'temporalio'));
    await writeFile(join(folder, 'temporalio', 'temporal.toml'), '[profile.default]\naddress = "of-the-file:7233"\n');
    // Elsewhere than in the folder that this variable names, other systems look.
    vi.spyOn(process, 'platform', 'get').mockReturnValue('linux');
    try {
      expect(configuredTarget({ XDG_CONFIG_HOME: folder })?.address).toBe('of-the-file:7233');
      expect(configuredTarget({ XDG_CONFIG_HOME: join(folder, 'none') })).toBeNull();
      expect(() => configuredTarget({ XDG_CONFIG_HOME: join(folder, 'none'), TEMPORAL_PROFILE: 'p' })).toThrow(
        'TEMPORAL_PROFILE: profile "p" is in no temporal.toml, since there is none (name the file by TEMPORAL_CONFIG_FILE)',
      );
    } finally {
      vi.restoreAllMocks();
    }
  });
});

describe('a temporal.toml that cannot be parsed', () => {
  it.each([
    ['without quotes', 'api_key = not-to-be-shown-either', 3],
    ['with one quote', 'api_key = "not-to-be-shown-either', 3],
    ['on the line before', 'api_key = "not-to-be-shown-either"\nnamespace = two words', 4],
  ])('is named by its place and never quoted: a key %s', async (_, lines, line) => {
    const file = join(folder, 'broken.toml');
    await writeFile(file, `[profile.p]\naddress = "127.0.0.1:1"\n${lines}\n`);
    const read = () => configuredTarget({ TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'p' });
    expect(read).toThrow(`${file}, line ${line}, column `);
    expect(read).not.toThrow(/not-to-be-shown|two words/);
  });
});

describe('resolveTemporal', () => {
  it('uses the configured server without looking for a program', async () => {
    const env = { ...withoutConfig, TEMPORAL_ADDRESS: '10.0.0.1:7233', PATH: '', UPLIFT_CACHE: join(folder, 'cache') };
    const source = await resolveTemporal({ env, report: () => {} });
    expect(source).toMatchObject({ kind: 'server', target: { address: '10.0.0.1:7233' } });
  });

  it('finds the program of an embedded server otherwise', async () => {
    const { TEMPORAL_ADDRESS: _, TEMPORAL_PROFILE: __, ...rest } = process.env;
    const source = await resolveTemporal({ env: { ...rest, ...withoutConfig }, report: () => {} });
    expect(source).toMatchObject({ kind: 'embedded', binary: { path: serverBinary() } });
  });
});

it('says that TLS may be the reason where it is on, as by an API key', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const target = configuredTarget({ ...withoutConfig, TEMPORAL_ADDRESS: address, TEMPORAL_API_KEY: 'not-to-be-shown' });
  await expect(connectClient(target ?? localTarget(), {})).rejects.toThrow(
    /^Temporal at .* cannot be reached: .*, or turn TLS off by TEMPORAL_TLS=false if it has none\)$/,
  );
});

it('says in one line that a server cannot be reached, without its credentials', async () => {
  const local = localTarget(`127.0.0.1:${await freePort()}`);
  const target = { ...local, options: { ...local.options, apiKey: 'not-to-be-shown', tls: false } };
  for (const connect of [connectClient, connectWorker]) {
    const failed = connect(target).then(
      () => 'connected',
      (error: Error) => error.message,
    );
    expect(await failed).toMatch(new RegExp(`^Temporal at ${local.address} cannot be reached: .+ \\(start it,`));
    expect(await failed).not.toContain('not-to-be-shown');
    expect(await failed).not.toContain('\n');
  }
});

it("gives up on a server that takes connections and never answers, by its own bound and not by the SDK's", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { address } = localTarget(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    for (const connect of [connectClient, connectWorker]) {
      await expect(connect(localTarget(address))).rejects.toThrow(
        `Temporal at ${address} cannot be reached: it has not answered within 5 s (start it, e.g. with \`uplift dev\`, `,
      );
    }
  } finally {
    server.close();
  }
});
