/** What all commands share: options, output and the connection to Temporal. */
import type { Client } from '@temporalio/client';
import { type Command, InvalidArgumentError, Option } from 'commander';
import ms from 'ms';
import { keepSecret, scrub } from '../activities/secrets.js';
import { connectClient, type ServerTarget, targetOrLocal } from '../temporal/connection.js';
import { isAddress } from '../temporal/variables.js';
import { actor } from './actor.js';
import { paintFor, type Paint } from './render/paint.js';

export interface ServerOptions {
  readonly address?: string;
  readonly namespace?: string;
}

export interface AccountsOptions {
  readonly accounts: string;
}

export interface OutputOptions {
  readonly output: 'table' | 'json';
}

export function withServerOptions(command: Command): Command {
  return command
    .option(
      '--address <host:port>',
      'Temporal server (default: TEMPORAL_ADDRESS, a profile, or 127.0.0.1:7233)',
      parseAddress,
    )
    .option('--namespace <name>', 'Temporal namespace (default: TEMPORAL_NAMESPACE, a profile, or default)');
}

export function withAccountsOption(command: Command): Command {
  return command.addOption(
    new Option('--accounts <file>', 'accounts file').env('UPLIFT_ACCOUNTS').default('accounts.yaml'),
  );
}

export function withRunOption(command: Command): Command {
  return command.option(
    '--run <id>',
    'an earlier run of it, by its id or the end of that (`uplift status` lists the latest)',
    parseRun,
  );
}

function parseRun(text: string): string {
  if (/^[\da-f-]{3,35}[\da-f]$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('A run is named by its id, or at least 4 digits that it ends with, as 1a2b3c4d.');
}

export function withOutputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'output format').choices(['table', 'json']).default('table'),
  );
}

/** For commander: `90s`, `10m`, `2h`, as milliseconds. */
export function parseDuration(text: string): number {
  const value = /^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text) ? ms(text as ms.StringValue) : NaN;
  if (!(value > 0)) throw new InvalidArgumentError('Use a number and a unit, as in 90s, 10m or 2h.');
  return value;
}

/** An option with such a duration, whose preset is shown as one would write it. */
export function durationOption(flags: string, description: string, preset: string): Option {
  return new Option(flags, description).argParser(parseDuration).default(parseDuration(preset), preset);
}

/** For commander: where a Temporal server listens. */
function parseAddress(text: string): string {
  if (!isAddress(text)) throw new InvalidArgumentError('Use host:port, as in temporal.example.com:7233.');
  return text;
}

/** For commander: a TCP port; 0 is any free one. */
export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('Use a port number, 0 to 65535.');
  return port;
}

/**
 * The server of `--address`, else of the environment or a profile, else a local dev server's default.
 *
 * @throws TemporalSetupError
 */
export function serverTarget(
  { address, namespace }: ServerOptions,
  env: NodeJS.ProcessEnv = process.env,
): ServerTarget {
  const target = targetOrLocal({
    ...env,
    ...(address === undefined ? {} : { TEMPORAL_ADDRESS: address }),
    ...(namespace === undefined ? {} : { TEMPORAL_NAMESPACE: namespace }),
  });
  const { apiKey } = target.options;
  if (typeof apiKey === 'string') keepSecret(apiKey);
  return target;
}

/**
 * Runs with a client. Its connection is left to the end of the process: closing it would break into calls that a
 * person has stopped waiting for, and that the SDK still tries again.
 */
export async function withClient<T>(
  options: ServerOptions,
  use: (client: Client, target: ServerTarget) => Promise<T>,
): Promise<T> {
  const target = serverTarget(options);
  return use(await connectClient(target, process.env, actor()), target);
}

/** Data: for the next program, or to be kept. */
export function print(text: string): void {
  process.stdout.write(`${scrub(text)}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Messages: for the person at the terminal. */
export function say(line: string): void {
  process.stderr.write(`${scrub(line)}\n`);
}

export function stdoutPaint(): Paint {
  return paintFor(process.stdout, process.env);
}

/** Characters a line on stdout may take; a pipe has no end, so that each row stays one line. */
export function stdoutWidth(): number {
  const forced = Number(process.env['COLUMNS']);
  if (process.stdout.isTTY) return process.stdout.columns;
  return forced > 0 ? forced : Infinity;
}
