/**
 * Verifies Alibaba's `ACS3-HMAC-SHA256`, written from the algorithm's description alone and sharing nothing with the
 * client's signer.
 */
import { createHash, createHmac } from 'node:crypto';
import type { SimulatedCredentials } from '../model.js';
import { canonicalPath, canonicalQuery, sameSecret, type SignedRequest, type Verdict } from './request.js';

const SKEW_MS = 15 * 60_000;

const refusal = (code: string, message: string, status = 400): Verdict => ({ ok: false, status, code, message });

/** Nonces of the last half hour: one that comes twice is refused. In memory only. */
export class Nonces {
  readonly #seen = new Map<string, number>();

  /** `false` when it was used before. */
  use(key: string, now: number): boolean {
    for (const [old, at] of this.#seen) {
      // Insertion order is order of time: the first young one ends it.
      if (at >= now - 2 * SKEW_MS) break;
      this.#seen.delete(old);
    }
    if (this.#seen.has(key)) return false;
    this.#seen.set(key, now);
    return true;
  }
}

/**
 * @param now milliseconds since the epoch on the simulator's clock; `x-acs-date` must be within 15 minutes of it
 * @returns the key's credentials, or the gateway's error: SignatureDoesNotMatch, SignatureNonceUsed,
 *   InvalidTimeStamp.Expired, InvalidAccessKeyId.NotFound, MissingParameter, InvalidSecurityToken.Malformed
 */
export function verifyAcs3(
  request: SignedRequest,
  keys: readonly SimulatedCredentials[],
  nonces: Nonces,
  now: number,
): Verdict {
  const { headers } = request;
  const parts = /^ACS3-HMAC-SHA256 Credential=([^,\s]+),\s?SignedHeaders=([^,\s]+),\s?Signature=([0-9a-f]{64})$/.exec(
    headers['authorization'] ?? '',
  );
  if (parts === null)
    return refusal('MissingParameter', 'The input parameter "Authorization" is not supplied or wrong.');
  const [, accessKeyId = '', signedList = '', signature = ''] = parts;
  const credentials = keys.find((key) => key.accessKeyId === accessKeyId);
  if (credentials === undefined) {
    return refusal('InvalidAccessKeyId.NotFound', 'Specified access key is not found.', 404);
  }
  const mandatory = ['x-acs-action', 'x-acs-version', 'x-acs-date', 'x-acs-signature-nonce', 'x-acs-content-sha256'];
  const absent = mandatory.find((name) => headers[name] === undefined || headers[name] === '');
  if (absent !== undefined) return refusal('MissingParameter', `The input parameter "${absent}" is mandatory.`);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(headers['x-acs-date'] ?? '')) {
    return refusal('InvalidTimeStamp.Format', 'Specified time stamp is not well formatted.');
  }
  if (!(Math.abs(now - Date.parse(headers['x-acs-date'] ?? '')) <= SKEW_MS)) {
    return refusal('InvalidTimeStamp.Expired', 'Specified time stamp or date value is expired.');
  }
  if (credentials.securityToken !== undefined) {
    const matching = sameSecret(headers['x-acs-security-token'] ?? '', credentials.securityToken);
    if (!matching || headers['x-acs-accesskey-id'] !== accessKeyId) {
      return refusal('InvalidSecurityToken.Malformed', 'Specified SecurityToken is malformed.');
    }
  }

  const doesNotMatch = refusal('SignatureDoesNotMatch', 'Specified signature is not matched with our calculation.');
  // More may be signed than has to be: Alibaba's Python client signs `accept` and `user-agent` too.
  const signed = signedList.split(';');
  const mustBeSigned = Object.keys(headers).filter(
    (name) => name.startsWith('x-acs-') || name === 'host' || name === 'content-type',
  );
  if (signedList !== signed.toSorted().join(';') || !mustBeSigned.every((name) => signed.includes(name))) {
    return doesNotMatch;
  }
  const bodyHash = createHash('sha256').update(request.body).digest('hex');
  if (headers['x-acs-content-sha256'] !== bodyHash) return doesNotMatch;
  const canonical = [
    request.method,
    canonicalPath(request.path),
    canonicalQuery(request.query),
    signed.map((name) => `${name}:${(headers[name] ?? '').trim()}\n`).join(''),
    signedList,
    bodyHash,
  ].join('\n');
  const toSign = `ACS3-HMAC-SHA256\n${createHash('sha256').update(canonical).digest('hex')}`;
  const expected = createHmac('sha256', credentials.secret).update(toSign).digest('hex');
  if (!sameSecret(signature, expected)) return doesNotMatch;
  // Last, so that a stranger cannot burn a nonce.
  return nonces.use(`${accessKeyId}/${headers['x-acs-signature-nonce']}`, now)
    ? { ok: true, credentials }
    : refusal('SignatureNonceUsed', 'Specified signature nonce was used already.');
}
