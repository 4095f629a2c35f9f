import { randomUUID } from 'node:crypto';
import type { Cloud } from '../cloud.js';
import { alibabaEndpoint } from './endpoints.js';
import { signAlibaba } from './signer.js';

export const alibaba: Cloud = {
  name: 'alibaba',
  variables: {
    prefix: 'ALIBABA_CLOUD',
    accessKey: 'ACCESS_KEY_ID',
    secretKey: 'ACCESS_KEY_SECRET',
    securityToken: 'SECURITY_TOKEN',
  },
  hasProjects: false,
  // Gateway codes (API reference, Common Error Codes): with what a proxy may have changed, or delayed by 15 minutes.
  signedAnew: ['SignatureDoesNotMatch', 'SignatureNonceUsed', 'InvalidTimeStamp.Expired'],
  // Its limits count per second.
  throttlePause: { firstMs: 1_000, maxMs: 60_000 },
  endpoint: alibabaEndpoint,
  sign: (request, keys, now) => signAlibaba(request, keys, now, randomUUID()),
};
