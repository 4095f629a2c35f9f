import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLI_VERSION, findServerBinary } from '../../temporal/binary.js';
import { installOnce } from '../../temporal/cache.js';
import { findTestServer } from '../support/test-server.js';

let folder: string;
let lines: string[];
const report = (line: string) => void lines.push(line);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'uplift-binary-'));
  lines = [];
  await mkdir(join(folder, 'bin'));
  await mkdir(join(folder, 'cache'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const cachedName = `temporal-${CLI_VERSION}-${process.platform}-${process.arch}`;
const onPath = () => join(folder, 'bin', 'temporal');
const cached = () => join(folder, 'cache', cachedName);

/** Only our own folder is on PATH, and a proxy that is not there keeps every download from succeeding. */
function environment(): NodeJS.ProcessEnv {
  const proxy = 'http://127.0.0.1:9';
  return {
    PATH: join(folder, 'bin'),
    HOME: folder,
    UPLIFT_CACHE: join(folder, 'cache'),
    HTTPS_PROXY: proxy,
    https_proxy: proxy,
  };
}

async function program(path: string, body: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
}

const says = (version: string) => `echo "temporal version ${version} (Server 1.29.1, UI 2.42.1)"`;

describe('findServerBinary', () => {
  it('takes the one on PATH before the cache', async () => {
    await program(onPath(), says('1.6.0'));
    await program(cached(), says('1.5.1'));
    expect(await findServerBinary({ env: environment(), report })).toEqual({
      path: onPath(),
      version: '1.6.0',
      source: 'PATH',
    });
    expect(lines).toEqual([]);
  });

  it('takes one that was built from source, which has no version, by its server', async () => {
    await program(onPath(), says('0.0.0-DEV'));
    expect(await findServerBinary({ env: environment(), report })).toMatchObject({ source: 'PATH' });
  });

  it.each([
    ['older than 1.5', says('1.4.9'), 'version 1.4.9 is older than 1.5'],
    [
      'built from an older source',
      'echo "temporal version 0.0.0-DEV (Server 1.28.0, UI 2.40.0)"',
      'version with server 1.28 is older than 1.5',
    ],
    ['broken', 'echo "cannot open shared object file" >&2; exit 127', 'cannot open shared object file'],
    ['something else', 'echo hello', 'does not say its version'],
  ])('says that the one on PATH is %s, and takes the cache', async (_, body, reason) => {
    await program(onPath(), body);
    await program(cached(), says('1.5.1'));
    expect(await findServerBinary({ env: environment(), report })).toEqual({
      path: cached(),
      version: '1.5.1',
      source: 'cache',
    });
    expect(lines).toEqual([expect.stringContaining(reason)]);
    expect(lines[0]).toContain(onPath());
  });

  it('builds with Go what it cannot download, reports, and leaves only the program behind', async () => {
    await program(
      join(folder, 'bin', 'go'),
      `echo "$@" > ${folder}/go-arguments
/bin/sleep 6
printf '#!/bin/sh\\n${says('0.0.0-DEV')}\\n' > "$GOBIN/temporal"
/bin/chmod 755 "$GOBIN/temporal"`,
    );
    const found = await findServerBinary({ env: environment(), report });
    expect(found).toMatchObject({ path: cached(), source: 'build' });
    expect(await readFile(join(folder, 'go-arguments'), 'utf8')).toContain(
      `github.com/temporalio/cli/cmd/temporal@v${CLI_VERSION}`,
    );
    expect(lines[0]).toMatch(/download of Temporal .* failed: \S/);
    expect(lines.at(-1)).toMatch(/^Building the Temporal server: 5 s/);
    expect(await readdir(join(folder, 'cache'))).toEqual([cachedName]);

    lines = [];
    expect(await findServerBinary({ env: environment(), report })).toMatchObject({ source: 'cache' });
    expect(lines).toEqual([]);
  });

  it('makes a broken one in the cache again', async () => {
    await program(cached(), 'exit 1');
    await program(
      join(folder, 'bin', 'go'),
      `printf '#!/bin/sh\\n${says('1.5.1')}\\n' > "$GOBIN/temporal"
/bin/chmod 755 "$GOBIN/temporal"`,
    );
    expect(await findServerBinary({ env: environment(), report })).toMatchObject({ source: 'build', version: '1.5.1' });
  });

  it.each([
    ['Go is not installed', null],
    ['requires go >= 1.25', 'echo "go: requires go >= 1.25 (running go 1.20)" >&2; exit 1'],
  ])('names every source and the remedy when none is left: %s', async (reason, go) => {
    if (go !== null) await program(join(folder, 'bin', 'go'), go);
    const failed = findServerBinary({ env: environment(), report });
    await expect(failed).rejects.toThrow(/^No Temporal server here: .*download: .*build: .*\(install the Temporal CLI/);
    await expect(failed).rejects.toThrow(reason);
    expect(await readdir(join(folder, 'cache'))).toEqual([]);
  });
});

describe('findTestServer', () => {
  it('says what to install when there is neither a download nor Java', async () => {
    await expect(findTestServer({ env: environment(), report })).rejects.toThrow(
      /^No time-skipping test server here: download: .*, Java: not installed \(install a Java runtime/,
    );
    expect(await readdir(join(folder, 'cache'))).toEqual([]);
  });
});

describe('installOnce', () => {
  it('builds once for two that ask at the same time', async () => {
    const entry = join(folder, 'cache', 'thing');
    let builds = 0;
    const build = async (own: string) => {
      builds++;
      await promisify(execFile)('sleep', ['1']);
      await writeFile(join(own, 'thing'), 'whole');
      return join(own, 'thing');
    };
    await Promise.all([installOnce(entry, report, build), installOnce(entry, report, build)]);
    expect(builds).toBe(1);
    expect(await readFile(entry, 'utf8')).toBe('whole');
    expect(await readdir(join(folder, 'cache'))).toEqual(['thing']);
  });

  it('takes over from a process that was killed, and clears its half-made folder away', async () => {
    const { stdout } = await promisify(execFile)('sh', ['-c', 'echo $$']);
    const dead = stdout.trim();
    const entry = join(folder, 'cache', 'thing');
    await writeFile(`${entry}.lock`, dead);
    await mkdir(`${entry}.partial-${dead}`);
    await installOnce(entry, report, async (own) => {
      await writeFile(join(own, 'thing'), 'whole');
      return join(own, 'thing');
    });
    expect(await readdir(join(folder, 'cache'))).toEqual(['thing']);
  });

  it('leaves nothing behind when the build fails', async () => {
    const failed = installOnce(join(folder, 'cache', 'thing'), report, () => Promise.reject(new Error('no luck')));
    await expect(failed).rejects.toThrow('no luck');
    expect(await readdir(join(folder, 'cache'))).toEqual([]);
  });
});
