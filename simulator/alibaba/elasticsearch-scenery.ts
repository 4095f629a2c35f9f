/** What Elasticsearch also tells of a cluster and its records, and no upgrade needs: clients have to get along with it. */
import type { Json } from '../../workflows/contracts/json.js';

type Fields = Readonly<Record<string, Json>>;

const NODE: Fields = { amount: 2, disk: 20, diskType: 'cloud_ssd', spec: 'elasticsearch.n4.small', specInfo: '1C2G' };
const INNER_NODE: Fields = {
  amount: 2,
  disk: 20,
  diskType: 'cloud_essd',
  performanceLevel: 'PL1',
  spec: 'elasticsearch.n4.small',
};
const dictionary = (type: string): Json => [{ fileSize: 2782602, name: 'dictionary.txt', sourceType: 'ORIGIN', type }];
const NETWORK: Fields = {
  type: 'vpc',
  vpcId: 'vpc-bp16k1dvzxtmagcva0001',
  vsArea: 'cn-hangzhou-i',
  vswitchId: 'vsw-bp1k4ec6s7sjdbudw0001',
  whiteIpGroupList: [{ groupName: 'default', ips: ['192.168.0.0/16'], whiteIpType: 'PRIVATE_ES' }],
};

/** In a list as well as alone. */
const CLUSTER: Fields = {
  advancedDedicateMaster: true,
  archType: 'public',
  clientNodeConfiguration: NODE,
  createdAt: '2024-03-18T02:06:36.122Z',
  dedicateMaster: true,
  domain: 'es-cn-demo.elasticsearch.aliyuncs.com',
  elasticDataNodeConfiguration: { ...NODE, diskEncryption: false },
  endTime: 4749897600000,
  extendConfigs: [{ configType: 'usageScenario', value: 'general' }],
  indexNodeConfiguration: INNER_NODE,
  kibanaIPWhitelist: ['127.0.0.1'],
  kibanaPrivateIPWhitelist: [],
  masterConfiguration: NODE,
  networkConfig: NETWORK,
  nodeAmount: 3,
  nodeSpec: {
    disk: 50,
    diskEncryption: false,
    diskPreference: 'any',
    diskType: 'cloud_essd',
    performanceLevel: 'PL1',
    spec: 'elasticsearch.sn2ne.large',
    specInfo: '2C8G',
  },
  paymentType: 'postpaid',
  postpaidServiceStatus: 'active',
  privateNetworkIpWhiteList: ['0.0.0.0/0'],
  protocol: 'HTTPS',
  publicIpWhitelist: [],
  resourceGroupId: 'rg-acfmdemo0001',
  searchNodeConfiguration: INNER_NODE,
  serviceVpc: true,
  vpcInstanceId: 'vpc-bp1uag5jjn0001',
  zoneCount: 1,
  zoneInfos: [{ status: 'NORMAL', zoneId: 'cn-hangzhou-i' }],
};

const KIBANA: Fields = { amount: 1, disk: 0, spec: 'elasticsearch.n4.small', specInfo: '1C2G' };

/** The list writes some of it in types of its own. */
export const LISTED_SCENERY: Fields = {
  ...CLUSTER,
  isNewDeployment: 'true',
  kibanaConfiguration: { ...KIBANA, diskType: 'hhd' },
  port: '9200',
};

export const CLUSTER_SCENERY: Fields = {
  ...CLUSTER,
  advancedSetting: { gcName: 'CMS' },
  aliwsDicts: dictionary('ALI_WS'),
  dictList: dictionary('MAIN'),
  enableKibanaPrivateNetwork: false,
  enableKibanaPublicNetwork: true,
  enablePublic: false,
  endpoints: [{ endpoint: '192.168.0.20:9200', vswitchId: 'vsw-bp1k4ec6s7sjdbudw0001', zoneId: 'cn-hangzhou-i' }],
  esConfig: { 'http.cors.enabled': 'true' },
  esIPBlacklist: [],
  esIPWhitelist: ['0.0.0.0/0'],
  haveClientNode: true,
  haveKibana: true,
  ikHotDicts: dictionary('IK_HOT'),
  inited: true,
  instanceCategory: 'advanced',
  isNewDeployment: true,
  kibanaConfiguration: KIBANA,
  kibanaDomain: 'es-cn-demo.kibana.elasticsearch.aliyuncs.com',
  kibanaPort: 5601,
  kibanaPrivateDomain: 'es-cn-demo-kibana.internal.elasticsearch.aliyuncs.com',
  kibanaPrivatePort: '5601',
  port: 9200,
  publicDomain: '',
  publicPort: 9200,
  synonymsDicts: dictionary('SYNONYMS'),
  warmNode: true,
  warmNodeConfiguration: { ...NODE, diskEncryption: true },
};

export const RECORD_SCENERY: Fields = {
  actionParams: {},
  actionResultAccessList: [],
  metaNow: '{}',
  metaOld: '{}',
  ownerId: '1390262184017350',
  recordDiff: {},
  recordIds: [],
  userId: '1390262184017350',
  userInfo: 'ops',
  userType: 'customer',
};
