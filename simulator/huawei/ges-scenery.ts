/** What GES also tells of a graph, and no upgrade needs: clients have to get along with it. */
import type { Json } from '../../workflows/contracts/json.js';

type Fields = Readonly<Record<string, Json>>;

const file = (jobIdName: string): Json => [
  { [jobIdName]: 'b4f2e9a0-66d0-4c46-ae9c-8d4a4d1e0b06', path: 'graphs/demo/file.csv', status: 'success' },
];

export const V1_SCENERY: Fields = {
  schemaPath: file('jobId'),
  edgesetPath: file('jobId'),
  edgesetFormat: 'csv',
  edgesetDefaultLabel: '',
  vertexsetPath: file('jobId'),
  vertexsetFormat: 'csv',
  vertexsetDefaultLabel: '',
  // The one name with an underscore in both versions.
  sys_tags: [],
  vpcId: '2d6a4fb1-8e6c-4b0c-b7f0-5e2f1c9a7d30',
  subnetId: 'e1f2d3c4-1b2a-4a3c-9d5e-7f8091a2b3c4',
  securityGroupId: '9a8b7c6d-5e4f-4321-8abc-def012345678',
  replication: 1,
  privateIp: '192.168.0.17',
  publicIp: '',
  masterKeyId: '',
  masterKeyName: '',
  enableRBAC: false,
  enableFulltextIndex: false,
  enableHyG: false,
  trafficIpList: ['192.168.0.18', '192.168.0.19'],
  cryptAlgorithm: 'generalCipher',
  enableHttps: false,
};

export const V2_SCENERY: Fields = {
  schema_path: file('job_id'),
  edgeset_path: file('job_id'),
  edgeset_format: 'csv',
  edgeset_default_label: '',
  vertexset_path: file('job_id'),
  vertexset_format: 'csv',
  vertexset_default_label: '',
  sys_tags: [],
  vpc_id: '2d6a4fb1-8e6c-4b0c-b7f0-5e2f1c9a7d30',
  subnet_id: 'e1f2d3c4-1b2a-4a3c-9d5e-7f8091a2b3c4',
  security_group_id: '9a8b7c6d-5e4f-4321-8abc-def012345678',
  replication: 1,
  private_ip: '192.168.0.17',
  public_ip: '',
  master_key_id: '',
  master_key_name: '',
  enable_rbac: false,
  enable_full_text_index: false,
  enable_hyg: false,
  traffic_ip_list: ['192.168.0.18', '192.168.0.19'],
  crypt_algorithm: 'generalCipher',
  enable_https: false,
  product_type: 'InMemory',
  vertex_id_type: { id_type: 'fixedLengthString', id_length: 20 },
  origin_graph_size_type_index: '1',
  expand_time: '',
  resize_time: '',
  enable_multi_label: false,
  capacity_ratio: 1,
  sort_key_type: 'int',
  enable_lts: false,
};
