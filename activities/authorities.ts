/** Whom an account's connections trust: the authorities that it names, and nobody else. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Account } from '../plan/accounts.js';
import { AccountError } from './clouds/errors.js';
import type { Transport } from './transport.js';

/**
 * `transport` for an account: with its `caFile`, only certificates that those authorities vouch for are accepted.
 *
 * @throws AccountError for a file that cannot be read or holds no certificate.
 */
export function trusting(transport: Transport, { name, caFile }: Account): Transport {
  if (caFile === undefined) return transport;
  const ca = readAuthorities(name, caFile);
  return {
    read: (call) => transport.read({ ...call, ca }),
    send: (call, sendBy, isLate) => transport.send({ ...call, ca }, sendBy, isLate),
    close: () => transport.close(),
  };
}

function readAuthorities(account: string, file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new AccountError(
      `account ${account}: caFile ${file} cannot be read: ${code} (put the authority's certificate there)`,
    );
  }
  try {
    new X509Certificate(text);
  } catch {
    throw new AccountError(`account ${account}: caFile ${file} holds no certificate (give it in PEM)`);
  }
  return text;
}
