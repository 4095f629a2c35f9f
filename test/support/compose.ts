/** What docker-compose.yml and the Dockerfile describe, read so that processes can stand in for containers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Service {
  readonly image: string;
  readonly build?: string;
  readonly restart: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: readonly string[] | Readonly<Record<string, string | number>>;
  readonly volumes?: readonly string[];
  readonly scale?: number;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly network_mode?: string;
  readonly healthcheck?: { readonly test: readonly string[] };
}

export function composeServices(): Readonly<Record<string, Service>> {
  const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
  return (parse(text, { merge: true }) as { services: Record<string, Service> }).services;
}

/** @throws Error when docker-compose.yml has no such service */
export function composeService(name: string): Service {
  const service = composeServices()[name];
  if (service === undefined) throw new Error(`docker-compose.yml has no service ${name}`);
  return service;
}

/** The tag of a service's image. */
export function tagOf(name: string): string {
  return composeService(name).image.replace(/^.*:/, '');
}

/** Name and value of every variable of a service; `undefined` where it is taken from the caller's environment. */
export function variablesOf(service: Service): (readonly [string, string | undefined])[] {
  const { environment = {} } = service;
  if (!Array.isArray(environment)) {
    return Object.entries(environment as Record<string, string | number>).map(([name, value]) => [name, String(value)]);
  }
  return (environment as string[]).map((line) => {
    const [, name = line, value] = /^([^=]+)=(.*)$/.exec(line) ?? [];
    return [name, value];
  });
}

export interface Process {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * The process of a service's container: the same command on the same files, taken from where they are mounted from.
 *
 * @param values of variables that mean something else outside of a container: hosts, files, passwords
 * @throws Error for a value that its service does not know, or a variable that is left without one
 */
export function processOf(name: string, values: Readonly<Record<string, string>>, entrypoint: readonly string[] = []) {
  const service = composeService(name);
  const variables = variablesOf(service);
  const unknown = Object.keys(values).filter((key) => !variables.some(([variable]) => variable === key));
  if (unknown.length > 0) throw new Error(`service ${name} has no variable ${unknown.join(', ')}`);
  const env: Record<string, string> = {};
  for (const [variable, given] of variables) {
    const value = values[variable] ?? given;
    if (value === undefined) continue;
    if (value.includes('$')) throw new Error(`service ${name} is given no ${variable}`);
    env[variable] = value;
  }
  const mounts = (service.volumes ?? []).map((volume) => volume.split(':') as [string, string]);
  const onHost = (argument: string): string => {
    const mount = mounts.find(([, target]) => argument === target || argument.startsWith(`${target}/`));
    return mount === undefined ? argument : join(ROOT, mount[0], argument.slice(mount[1].length));
  };
  const words = [...(service.entrypoint ?? entrypoint), ...(service.command ?? [])].map(onHost);
  const [command = '', ...args] = words;
  return { command, args, env } satisfies Process;
}
