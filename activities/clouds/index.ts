/** Every cloud and every API that Uplift knows. A new API is one new adapter and one line here. */
import { alibaba } from './alibaba/cloud.js';
import { elasticsearch } from './alibaba/elasticsearch.js';
import type { Cloud } from './cloud.js';
import { cse } from './huawei/cse.js';
import { dcs } from './huawei/dcs.js';
import { gesV1 } from './huawei/ges-v1.js';
import { gesV2 } from './huawei/ges-v2.js';
import { huawei } from './huawei/cloud.js';
import type { CloudApi } from './port.js';

export const CLOUDS: readonly Cloud[] = [huawei, alibaba];

export const CLOUD_APIS: readonly CloudApi[] = [gesV1, gesV2, cse, dcs, elasticsearch];

/** The API that a plan names; `undefined` for one that is not there. */
export function apiFor(apis: readonly CloudApi[], service: string): CloudApi | undefined {
  return apis.find((api) => api.service === service);
}
