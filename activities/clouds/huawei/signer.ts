/** Huawei Cloud's `SDK-HMAC-SHA256` (API signature guide): no key derivation, all headers signed. */
import { createHash, createHmac } from 'node:crypto';
import type { AccessKeys } from '../../credentials.js';
import type { UnsignedRequest } from '../cloud.js';

const ALGORITHM = 'SDK-HMAC-SHA256';

/** The request's headers with date, token and `authorization`. Pure: `now` is epoch ms. */
export function signHuawei(request: UnsignedRequest, keys: AccessKeys, now: number): Record<string, string> {
  const date = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host,
    'x-sdk-date': date,
    ...(keys.securityToken === null ? {} : { 'x-security-token': keys.securityToken }),
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    request.method,
    // The canonical path ends in a slash, whatever the request's does.
    request.path.endsWith('/') ? request.path : `${request.path}/`,
    request.query,
    names.map((name) => `${name}:${(headers[name] ?? '').trim()}\n`).join(''),
    names.join(';'),
    sha256(request.body),
  ].join('\n');
  const signature = createHmac('sha256', keys.secretKey)
    .update([ALGORITHM, date, sha256(canonical)].join('\n'))
    .digest('hex');
  headers['authorization'] =
    `${ALGORITHM} Access=${keys.accessKey}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return headers;
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
