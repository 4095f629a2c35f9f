/** Webhooks of the accounts file: where notices go. It names where addresses and secrets are, and never holds them. */
import { dirname, resolve } from 'node:path';
import { homedir } from 'node:os';
import { z } from 'zod';

/** Where a secret text comes from; it is read where the worker runs, at each use. */
export type SecretSource =
  { readonly kind: 'env'; readonly name: string } | { readonly kind: 'file'; readonly path: string };

export interface Webhook {
  readonly name: string;
  /** The address is a secret: who has it can write there. */
  readonly url: SecretSource;
  /** A header that proves who sends. */
  readonly header: { readonly name: string; readonly value: SecretSource } | null;
  /** `json`: the notice itself. `slack`: a body that Slack and what is compatible with it show. */
  readonly format: 'json' | 'slack';
  /** Plain http beyond loopback is refused unless this is set. */
  readonly allowPlainHttp: boolean;
}

const secret = z
  .strictObject({
    env: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'give the name of an environment variable')
      .optional()
      .describe('Name of an environment variable of the worker.'),
    file: z
      .string()
      .regex(/\S/, 'give a path')
      .optional()
      .describe('A file that only its owner can read, with nothing else in it; relative to this file.'),
  })
  .refine((source) => (source.env === undefined) !== (source.file === undefined), {
    error: 'must have either `env` or `file`',
    params: { remedy: 'give exactly one of the two; the text itself has no place in this file' },
  })
  .meta({ oneOf: [{ required: ['env'] }, { required: ['file'] }] });

export const webhooksField = z
  .record(
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'use letters, digits, dots and hyphens, at most 63'),
    z.strictObject({
      url: secret.describe('Where its address comes from.'),
      header: z
        .strictObject({
          name: z
            .string()
            .regex(/^[A-Za-z0-9-]+$/, 'give the name of a header, as in Authorization')
            .refine((name) => !/^(content-type|content-length|host|connection|transfer-encoding)$/i.test(name), {
              error: 'is set by the request itself',
              params: { remedy: 'use another header' },
            }),
          value: secret,
        })
        .optional()
        .describe('A header with a secret in it.'),
      format: z
        .enum(['json', 'slack'])
        .optional()
        .describe('json (default): the notice; slack: a text that Slack shows.'),
      allowPlainHttp: z.boolean().optional().describe('Lets its address be plain http beyond loopback.'),
    }),
  )
  .optional()
  .describe('Where notices go, by the names that plans use.');

/** @param file the accounts file, which relative paths are relative to */
export function webhooksOf(data: z.infer<typeof webhooksField>, file: string): Map<string, Webhook> {
  const source = ({ env, file: path }: z.infer<typeof secret>): SecretSource =>
    path === undefined
      ? { kind: 'env', name: env ?? '' }
      : { kind: 'file', path: resolve(dirname(file), path.replace(/^~(?=\/)/, homedir())) };
  return new Map(
    Object.entries(data ?? {}).map(([name, { url, header, format = 'json', allowPlainHttp = false }]) => [
      name,
      {
        name,
        url: source(url),
        header: header === undefined ? null : { name: header.name, value: source(header.value) },
        format,
        allowPlainHttp,
      },
    ]),
  );
}
