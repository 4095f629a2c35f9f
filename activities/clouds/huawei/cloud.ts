import type { Cloud } from '../cloud.js';
import { huaweiEndpoint } from './endpoints.js';
import { iam } from './iam.js';
import { signHuawei } from './signer.js';

export const huawei: Cloud = {
  name: 'huawei',
  variables: {
    prefix: 'CLOUD_SDK',
    accessKey: 'AK',
    secretKey: 'SK',
    securityToken: 'SECURITY_TOKEN',
    user: 'USER',
    password: 'PASSWORD',
    domain: 'DOMAIN',
    token: 'TOKEN',
  },
  hasProjects: true,
  identity: iam,
  // Its limits count per minute, throttled calls among them; Terraform's provider waits 2^n minutes, 30 at most.
  throttlePause: { firstMs: 60_000, maxMs: 30 * 60_000 },
  endpoint: huaweiEndpoint,
  sign: signHuawei,
};
