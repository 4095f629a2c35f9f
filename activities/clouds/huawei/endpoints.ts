/** Where Huawei Cloud's services are, by the region tables of its own SDK (huaweicloudsdk{ges,cse,dcs} 3.1.219). */
import type { Endpoint } from '../cloud.js';

/** Lists, since a region that a service is not in has no such host. */
const REGIONS: Readonly<Record<string, readonly string[]>> = {
  ges: [
    'ap-southeast-1',
    'ap-southeast-3',
    'cn-east-3',
    'cn-north-1',
    'cn-north-2',
    'cn-north-4',
    'cn-south-1',
    'eu-west-101',
    'ru-moscow-1',
  ],
  cse: [
    'af-south-1',
    'ap-southeast-1',
    'ap-southeast-2',
    'ap-southeast-3',
    'ap-southeast-4',
    'cn-east-2',
    'cn-east-3',
    'cn-east-4',
    'cn-east-5',
    'cn-north-1',
    'cn-north-11',
    'cn-north-12',
    'cn-north-4',
    'cn-north-9',
    'cn-south-1',
    'cn-south-2',
    'cn-south-4',
    'cn-southwest-2',
    'cn-southwest-3',
    'la-north-2',
    'la-south-2',
    'me-east-1',
    'my-kualalumpur-1',
    'ru-moscow-1',
    'ru-northwest-2',
    'sa-brazil-1',
    'tr-west-1',
  ],
  dcs: [
    'ae-ad-1',
    'af-north-1',
    'af-south-1',
    'ap-southeast-1',
    'ap-southeast-2',
    'ap-southeast-3',
    'ap-southeast-4',
    'ap-southeast-5',
    'cn-east-2',
    'cn-east-3',
    'cn-east-4',
    'cn-east-5',
    'cn-north-1',
    'cn-north-11',
    'cn-north-12',
    'cn-north-2',
    'cn-north-4',
    'cn-north-9',
    'cn-south-1',
    'cn-south-2',
    'cn-south-4',
    'cn-southwest-2',
    'cn-southwest-3',
    'eu-west-0',
    'eu-west-101',
    'la-north-2',
    'la-south-2',
    'me-east-1',
    'my-kualalumpur-1',
    'na-mexico-1',
    'ru-moscow-1',
    'ru-northwest-2',
    'sa-brazil-1',
    'tr-west-1',
  ],
};

/** Hosts outside `.myhuaweicloud.com`. */
const OTHER_HOSTS: Readonly<Record<string, string>> = {
  'ges/eu-west-101': 'ges.eu-west-101.myhuaweicloud.eu',
};

/** IAM is global, and has hosts of its own in these regions (huaweicloudsdkcore 3.1.219, auth/endpoint.py). */
const IAM_REGIONS: readonly string[] = [
  'ae-ad-1',
  'af-south-1',
  'ap-southeast-1',
  'ap-southeast-2',
  'ap-southeast-3',
  'ap-southeast-4',
  'cn-east-2',
  'cn-east-3',
  'cn-east-4',
  'cn-east-5',
  'cn-north-1',
  'cn-north-12',
  'cn-north-2',
  'cn-north-4',
  'cn-north-9',
  'cn-south-1',
  'cn-south-2',
  'cn-southwest-2',
  'eu-west-0',
  'la-north-2',
  'la-south-2',
  'me-east-1',
  'my-kualalumpur-1',
  'na-mexico-1',
  'ru-moscow-1',
  'sa-brazil-1',
  'tr-west-1',
];

/** Base URL of a service in a region, or what is wrong with the pair. */
export function huaweiEndpoint(family: string, region: string): Endpoint {
  if (family === 'iam') {
    return { url: `https://iam.${IAM_REGIONS.includes(region) ? `${region}.` : ''}myhuaweicloud.com` };
  }
  const regions = REGIONS[family] ?? [];
  if (!regions.includes(region))
    return { problem: `${family} is not in region ${region}, only in ${regions.join(', ')}` };
  return { url: `https://${OTHER_HOSTS[`${family}/${region}`] ?? `${family}.${region}.myhuaweicloud.com`}` };
}
