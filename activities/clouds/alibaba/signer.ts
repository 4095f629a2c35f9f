/** Alibaba Cloud's `ACS3-HMAC-SHA256` (signature method V3). */
import { createHash, createHmac } from 'node:crypto';
import type { AccessKeys } from '../../credentials.js';
import type { UnsignedRequest } from '../cloud.js';

const ALGORITHM = 'ACS3-HMAC-SHA256';

/** The request's headers with date, nonce, token and `authorization`. Pure: `now` is epoch ms, `nonce` used once. */
export function signAlibaba(
  request: UnsignedRequest,
  keys: AccessKeys,
  now: number,
  nonce: string,
): Record<string, string> {
  const payload = sha256(request.body);
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host,
    'x-acs-date': new Date(now).toISOString().replace(/\.\d+/, ''),
    'x-acs-signature-nonce': nonce,
    'x-acs-content-sha256': payload,
    ...(keys.securityToken === null
      ? {}
      : { 'x-acs-security-token': keys.securityToken, 'x-acs-accesskey-id': keys.accessKey }),
  };
  const names = Object.keys(headers)
    .filter((name) => name.startsWith('x-acs-') || name === 'host' || name === 'content-type')
    .sort();
  const canonical = [
    request.method,
    request.path,
    request.query,
    names.map((name) => `${name}:${(headers[name] ?? '').trim()}\n`).join(''),
    names.join(';'),
    payload,
  ].join('\n');
  const signature = createHmac('sha256', keys.secretKey)
    .update(`${ALGORITHM}\n${sha256(canonical)}`)
    .digest('hex');
  headers['authorization'] =
    `${ALGORITHM} Credential=${keys.accessKey},SignedHeaders=${names.join(';')},Signature=${signature}`;
  return headers;
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
