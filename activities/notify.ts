/**
 * Tells a webhook what happened. At least once: a worker that dies between the answer and its record sends it again, under
 * the same id. Neither the address nor the secret header stands in any error.
 */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { request } from 'undici';
import { isLoopback } from '../plan/accounts.js';
import type { SecretSource, Webhook } from '../plan/webhooks.js';
import { readSecret } from '../temporal/secret-file.js';
import { FAILURES } from '../workflows/contracts/errors.js';
import type { Notice, NoticeSteps } from '../workflows/contracts/notices.js';
import { keepSecret } from './secrets.js';

/** A receiver that takes longer is asked again. */
const WITHIN_MS = 15_000;

export interface NotifyDeps {
  /** Those of the accounts file; without any, nobody can be told. */
  readonly webhooks?: ReadonlyMap<string, Webhook>;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export function noticeSteps({ webhooks = new Map<string, Webhook>(), env = process.env }: NotifyDeps): NoticeSteps {
  return {
    deliverNotice: async ({ notice, webhook: name }) => {
      const webhook = webhooks.get(name);
      if (webhook === undefined)
        throw undelivered(name, 'the accounts file of this worker has no webhook of that name');
      const url = addressOf(webhook, secretOf(name, webhook.url, env));
      const { header } = webhook;
      const secret = header === null ? {} : { [header.name]: secretOf(name, header.value, env) };
      const { cancellationSignal } = Context.current();
      const status = await post(url, notice, { ...webhook, secret, signal: cancellationSignal });
      if (status < 200 || status > 299) throw undelivered(name, `it answered ${status}`);
    },
  };
}

interface Posting extends Pick<Webhook, 'name' | 'format'> {
  readonly secret: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** No redirects: they would carry the secret elsewhere. */
async function post(url: URL, notice: Notice, { name, format, secret, signal }: Posting): Promise<number> {
  try {
    const { statusCode, body } = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': notice.id, 'user-agent': 'uplift', ...secret },
      body: JSON.stringify(format === 'slack' ? slackBody(notice) : { version: 1, ...notice }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]),
    });
    await body.dump();
    return statusCode;
  } catch (error) {
    signal.throwIfAborted();
    // The error's own text may quote the address.
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw undelivered(name, `it could not be reached${/^[A-Z0-9_]+$/.test(code) ? ` (${code})` : ' in time'}`);
  }
}

/** https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: a text, in which three characters are escaped. */
function slackBody({ rollout, text }: Notice): { readonly text: string } {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return { text: `*${rollout}*: ${escaped}` };
}

function addressOf({ name, allowPlainHttp }: Webhook, text: string): URL {
  if (!URL.canParse(text)) throw undelivered(name, 'its address is no absolute URL');
  const url = new URL(text);
  if (url.protocol === 'https:' || (url.protocol === 'http:' && (allowPlainHttp || isLoopback(url.hostname))))
    return url;
  throw undelivered(name, 'its address is not https (or set `allowPlainHttp: true`)');
}

/** Read at each use, so that a corrected or rotated one counts at once. */
function secretOf(webhook: string, source: SecretSource, env: NonNullable<NotifyDeps['env']>): string {
  const text = source.kind === 'env' ? (env[source.name] ?? '').trim() : textOf(webhook, source.path);
  if (text === '') {
    const place = source.kind === 'env' ? `environment variable ${source.name}` : `file ${source.path}`;
    throw undelivered(webhook, `${place} is empty where the worker runs`);
  }
  if (!/^[\x20-\x7e]+$/.test(text))
    throw undelivered(webhook, 'its address or header has characters that it cannot have');
  keepSecret(text);
  return text;
}

function textOf(webhook: string, path: string): string {
  const refuse = (problem: string, remedy: string) => undelivered(webhook, `file ${path} ${problem} (${remedy})`);
  return readSecret(path, refuse).text.trim();
}

function undelivered(webhook: string, why: string): ApplicationFailure {
  return ApplicationFailure.create({ type: FAILURES.notice, message: `webhook ${webhook}: ${why}` });
}
