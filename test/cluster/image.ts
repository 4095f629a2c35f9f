/** What `docker build .` makes, without Docker: the Dockerfile's own steps, on what .dockerignore lets through. */
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../support/compose.js';

const execute = promisify(execFile);

const COPY = { recursive: true, preserveTimestamps: true } as const;

export interface Image {
  /** The image's working directory. */
  readonly directory: string;
  readonly entrypoint: readonly string[];
  /** Whom its processes belong to. */
  readonly user: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Both stages: the first builds with all dependencies, the second gets what the workers need. Nothing in it can be written,
 * as in a container that is read-only; and files keep their times, by which a worker tells whether its bundle is stale.
 */
export async function buildImage(folder: string): Promise<Image> {
  const text = await readFile(join(ROOT, 'Dockerfile'), 'utf8');
  const [build = [], final = []] = stagesOf(text);
  const built = join(folder, 'build');
  const directory = join(folder, 'app');
  await mkdir(built, { recursive: true });
  await mkdir(directory);

  const context = await contextFiles();
  for (const step of build) {
    const [word = '', ...rest] = step.split(' ');
    if (word === 'COPY') {
      const names = rest.slice(0, -1);
      const files = names.includes('.') ? context : names.filter((name) => context.includes(name));
      for (const file of files) await cp(join(ROOT, file), join(built, file), COPY);
    } else if (word === 'RUN') {
      // Other people's machines have these packages already.
      const env = { ...process.env, npm_config_prefer_offline: 'true', npm_config_audit: 'false' };
      const command = rest.join(' ');
      await execute('/bin/sh', ['-c', command], { cwd: built, env }).catch(
        (error: { stdout: string; stderr: string }) => {
          throw new Error(`the image cannot be built: ${command}: ${error.stdout}${error.stderr}`);
        },
      );
    }
  }
  const env: Record<string, string> = {};
  let entrypoint: string[] = [];
  let user = 'root';
  for (const step of final) {
    const [, file] = /^COPY --from=build \/app\/(\S+) /.exec(step) ?? [];
    if (file !== undefined) await cp(join(built, file), join(directory, file), COPY);
    if (step.startsWith('ENV ')) {
      for (const [, name = '', value = ''] of step.matchAll(/ (\w+)=(\S+)/g)) env[name] = value;
    }
    if (step.startsWith('ENTRYPOINT ')) entrypoint = JSON.parse(step.slice('ENTRYPOINT '.length)) as string[];
    if (step.startsWith('USER ')) user = step.slice('USER '.length);
  }
  await rm(built, { recursive: true });
  await execute('chmod', ['-R', 'a-w', directory]);
  return { directory, entrypoint, user, env };
}

/** Instructions of each stage, one a line. */
function stagesOf(text: string): string[][] {
  const lines = text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const stages: string[][] = [];
  for (const line of lines) {
    if (line.startsWith('FROM ')) stages.push([]);
    else stages.at(-1)?.push(line);
  }
  return stages;
}

/** .dockerignore keeps everything out except what it names. */
async function contextFiles(): Promise<string[]> {
  const lines = (await readFile(join(ROOT, '.dockerignore'), 'utf8')).split('\n');
  return lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
}
