import type { Endpoint } from '../cloud.js';

/** Alibaba Cloud's hosts follow one rule, so that new regions work without a new table. */
export function alibabaEndpoint(family: string, region: string): Endpoint {
  // cn-hangzhou, ap-southeast-1, cn-shanghai-finance-1
  if (!/^[a-z]{2}-[a-z]+(-[a-z]+)?(-\d+)?$/.test(region)) {
    return { problem: `${region} is no region of Alibaba Cloud, which look like cn-hangzhou or ap-southeast-1` };
  }
  return { url: `https://${family}.${region}.aliyuncs.com` };
}
