/** A PostgreSQL server by Debian's package, as the image of docker-compose.yml starts one. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, readdirSync } from 'node:fs';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { TemporalSetupError } from '../../temporal/errors.js';

const execute = promisify(execFile);

const DEBIAN = '/usr/lib/postgresql';
/** Whom Debian's package runs its servers as: `initdb` refuses root. */
const USER = 'postgres';
const SERVES_WITHIN_MS = 60_000;

export interface PostgresOptions {
  /** See `findPostgres`. */
  readonly bin: string;
  /** Where it listens, and nowhere else but on a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** A new folder of its own. */
  readonly directory: string;
}

export interface Postgres {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Everything as it is at one moment, as the one file that docs/running-a-cluster.md has people keep. */
  backup(file: string): Promise<void>;
  /** In place of what is there; the server must have been stopped, and is started again. */
  restore(file: string): Promise<void>;
}

/** Makes a cluster of databases and starts its server. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { bin, host, port, user, password, directory } = options;
  const owner = await ownerOf();
  const data = join(directory, 'data');
  const env = { PATH: `${bin}:/usr/bin:/bin`, LC_ALL: 'C.UTF-8' };
  const as = { ...owner, cwd: directory, env };

  await mkdir(directory, { recursive: true });
  const log = createWriteStream(join(directory, 'postgres.log'), { flags: 'a' });
  if (owner !== null) await chown(directory, owner.uid, owner.gid);
  const passwordFile = join(directory, 'password');
  await writeFile(passwordFile, password);
  if (owner !== null) await chown(passwordFile, owner.uid, owner.gid);
  const initdb = ['--pgdata', data, '--username', user, '--pwfile', passwordFile, '--encoding', 'UTF8'];
  await execute(join(bin, 'initdb'), [...initdb, '--auth-local', 'trust', '--auth-host', 'scram-sha-256'], as);
  await rm(passwordFile);

  let stopNow = async (): Promise<void> => {};
  const start = async (): Promise<void> => {
    const settings = { listen_addresses: host, port, unix_socket_directories: directory, fsync: 'off' };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(join(bin, 'postgres'), ['-D', data, ...args], { ...as, stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.pipe(log, { end: false });
    const killNow = (): void => void child.kill('SIGQUIT');
    process.once('exit', killNow);
    const ended = once(child, 'exit').finally(() => process.off('exit', killNow));
    stopNow = async () => {
      // Fast: it waits for nobody's session.
      child.kill('SIGINT');
      await ended;
    };
    const deadline = Date.now() + SERVES_WITHIN_MS;
    const ready = () => execute(join(bin, 'pg_isready'), ['--host', host, '--port', String(port)], as);
    while (
      !(await ready().then(
        () => true,
        () => false,
      ))
    ) {
      if (child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`PostgreSQL does not serve on ${host}:${port}: see ${directory}/postgres.log`);
      }
      await delay(100);
    }
  };
  await start();
  return {
    start,
    stop: () => stopNow(),
    backup: async (file) => {
      // By the socket, as inside a container.
      const where = ['--host', directory, '--port', String(port), '--username', user];
      await shell(`exec pg_basebackup ${where.join(' ')} ${BACKUP} > '${file}'`);
    },
    restore: async (file) => {
      await rm(data, { recursive: true });
      await shell(`mkdir -m 700 '${data}' && ${RESTORE} '${data}' < '${file}'`);
      await start();
    },
  };

  function shell(command: string): Promise<unknown> {
    return execute('/bin/sh', ['-c', command], as);
  }
}

/** As in docs/running-a-cluster.md. */
const BACKUP = '--pgdata - --format tar --gzip --wal-method fetch --checkpoint fast';
const RESTORE = 'tar -xz -C';

/**
 * The folder of the newest PostgreSQL's programs.
 *
 * @throws TemporalSetupError where there is none
 */
export function findPostgres(): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).toSorted((a, b) => Number(b) - Number(a)) : [];
  const bin = versions.map((version) => join(DEBIAN, version, 'bin')).find((path) => existsSync(join(path, 'initdb')));
  if (bin === undefined) {
    throw new TemporalSetupError(
      `PostgreSQL is not installed: no ${DEBIAN}/*/bin/initdb`,
      'apt-get install -y postgresql',
    );
  }
  return bin;
}

/** `null`: nobody else than who runs this, who is not root. */
async function ownerOf(): Promise<{ readonly uid: number; readonly gid: number } | null> {
  if (process.getuid?.() !== 0) return null;
  const id = async (flag: string) => Number((await execute('id', [flag, USER])).stdout);
  return { uid: await id('-u'), gid: await id('-g') };
}
