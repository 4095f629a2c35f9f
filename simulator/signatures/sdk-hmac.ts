/**
 * Verifies Huawei's `SDK-HMAC-SHA256`, written from the algorithm's description alone and sharing nothing with the
 * client's signer: a mistake made there cannot be made here as well.
 */
import { createHash, createHmac } from 'node:crypto';
import type { SimulatedCredentials } from '../model.js';
import { canonicalPath, canonicalQuery, sameSecret, type SignedRequest, type Verdict } from './request.js';

const SKEW_MS = 15 * 60_000;

const refusal = (code: string, message: string): Verdict => ({
  ok: false,
  status: 401,
  code,
  message: `Incorrect IAM authentication information: ${message}`,
});

/**
 * @param now milliseconds since the epoch on the simulator's clock; `X-Sdk-Date` must be within 15 minutes of it
 * @returns the key's credentials, or the gateway's error: APIGW.0301, and APIGW.0303 for a date that is off
 */
export function verifySdkHmac(request: SignedRequest, keys: readonly SimulatedCredentials[], now: number): Verdict {
  const authorization = request.headers['authorization'];
  if (authorization === undefined) return refusal('APIGW.0301', 'Authorization is missing');
  const parts = /^SDK-HMAC-SHA256 Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})$/.exec(
    authorization,
  );
  if (parts === null) return refusal('APIGW.0301', 'Authorization is malformed');
  const [, access = '', signedList = '', signature = ''] = parts;
  const signed = signedList.split(';');

  const credentials = keys.find((key) => key.accessKeyId === access);
  if (credentials === undefined) return refusal('APIGW.0301', 'access key is not known');
  if (signedList !== signedList.toLowerCase() || signed.join(';') !== signed.toSorted().join(';')) {
    return refusal('APIGW.0301', 'SignedHeaders are not in lower case and order');
  }
  const missing = signed.find((name) => request.headers[name] === undefined);
  if (missing !== undefined) return refusal('APIGW.0301', `signed header ${missing} is missing`);

  const date = request.headers['x-sdk-date'];
  if (date === undefined || !signed.includes('x-sdk-date')) return refusal('APIGW.0301', 'X-Sdk-Date is not signed');
  const instant = basicDate(date);
  if (instant === null) return refusal('APIGW.0301', 'X-Sdk-Date is malformed');
  if (Math.abs(now - instant) > SKEW_MS) return refusal('APIGW.0303', 'X-Sdk-Date is expired');

  if (credentials.securityToken !== undefined) {
    if (!signed.includes('x-security-token')) return refusal('APIGW.0301', 'X-Security-Token is not signed');
    if (!sameSecret(request.headers['x-security-token'] ?? '', credentials.securityToken)) {
      return refusal('APIGW.0301', 'security token is not valid');
    }
  }

  const bodyHash = createHash('sha256').update(request.body).digest('hex');
  const claimed = request.headers['x-sdk-content-sha256'];
  const unsigned = claimed === 'UNSIGNED-PAYLOAD' && !/json/.test(request.headers['content-type'] ?? '');
  if (claimed !== undefined && !unsigned && claimed !== bodyHash) {
    return refusal('APIGW.0301', 'X-Sdk-Content-Sha256 is not the hash of the body');
  }
  const path = canonicalPath(request.path);
  const canonical = [
    request.method,
    path.endsWith('/') ? path : `${path}/`,
    canonicalQuery(request.query),
    signed.map((name) => `${name}:${(request.headers[name] ?? '').trim()}\n`).join(''),
    signedList,
    claimed ?? bodyHash,
  ].join('\n');
  const toSign = `SDK-HMAC-SHA256\n${date}\n${createHash('sha256').update(canonical).digest('hex')}`;
  const expected = createHmac('sha256', credentials.secret).update(toSign).digest('hex');
  return sameSecret(signature, expected)
    ? { ok: true, credentials }
    : refusal('APIGW.0301', 'verify aksk signature fail');
}

/** `20261121T052600Z` */
function basicDate(text: string): number | null {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (parts === null) return null;
  const [, year, month, day, hour, minute, second] = parts;
  const instant = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(instant) ? null : instant;
}
