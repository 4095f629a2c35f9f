/** An authority of its own and a certificate for 127.0.0.1, made on the spot: DER by hand, since Node only reads it. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

/** PEM each. */
export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const TAG = { boolean: 1, integer: 2, bits: 3, octets: 4, oid: 6, utf8: 12, sequence: 0x30, set: 0x31, utcTime: 0x17 };
const ECDSA_SHA256 = '2a8648ce3d040302';
const COMMON_NAME = '550403';
const BASIC_CONSTRAINTS = '551d13';
const ALTERNATIVE_NAME = '551d11';

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const size =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const sequence = (...parts: readonly Uint8Array[]) => der(TAG.sequence, ...parts);
const oid = (hex: string) => der(TAG.oid, Buffer.from(hex, 'hex'));
const yes = der(TAG.boolean, Buffer.from([0xff]));
const algorithm = sequence(oid(ECDSA_SHA256));
const name = (text: string) => sequence(der(TAG.set, sequence(oid(COMMON_NAME), der(TAG.utf8, Buffer.from(text)))));
const extension = (id: string, isCritical: boolean, value: Buffer) =>
  sequence(oid(id), ...(isCritical ? [yes] : []), der(TAG.octets, value));

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return der(TAG.utcTime, Buffer.from(digits.slice(2)));
}

function certificate(
  subject: string,
  publicKey: KeyObject,
  signer: KeyObject,
  serial: number,
  extensions: Buffer[],
): string {
  const day = 86_400_000;
  const body = sequence(
    der(0xa0, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, Buffer.from([serial])),
    algorithm,
    name('Test authority'),
    sequence(time(Date.now() - day), time(Date.now() + day)),
    name(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = der(TAG.bits, Buffer.from([0]), sign('sha256', body, signer));
  const base64 = sequence(body, algorithm, signature).toString('base64').replaceAll(/.{64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
}

export function makeCertificates(): Certificates {
  const [authority, server] = [0, 1].map(() => generateKeyPairSync('ec', { namedCurve: 'prime256v1' })) as [
    { publicKey: KeyObject; privateKey: KeyObject },
    { publicKey: KeyObject; privateKey: KeyObject },
  ];
  const loopback = sequence(der(0x87, Buffer.from([127, 0, 0, 1])), der(0x82, Buffer.from('localhost')));
  return {
    ca: certificate('Test authority', authority.publicKey, authority.privateKey, 1, [
      extension(BASIC_CONSTRAINTS, true, sequence(yes)),
    ]),
    cert: certificate('127.0.0.1', server.publicKey, authority.privateKey, 2, [
      extension(BASIC_CONSTRAINTS, true, sequence()),
      extension(ALTERNATIVE_NAME, false, loopback),
    ]),
    key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
