/** What DCS also tells of a cache, and no upgrade needs: clients have to get along with it. */
import type { Json } from '../../workflows/contracts/json.js';

type Fields = Readonly<Record<string, Json>>;

const CREATED = '2025-03-26T09:24:43.000Z';

/** In a list as well as alone. */
const COMMON: Fields = {
  vpc_id: '2d6a4fb1-8e6c-4b0c-b7f0-5e2f1c9a7d30',
  vpc_name: 'vpc-default',
  subnet_id: 'e1f2d3c4-1b2a-4a3c-9d5e-7f8091a2b3c4',
  security_group_id: '9a8b7c6d-5e4f-4321-8abc-def012345678',
  charging_mode: 0,
  order_id: '',
  user_id: '6d0977e4c9b74ae7b5a083a8d0d8fafa',
  user_name: 'ops',
  access_user: '',
  no_password_access: 'false',
  description: '',
  created_at: CREATED,
  enterprise_project_id: '0',
  engine: 'Redis',
  engine_version: '5.0',
  cpu_type: 'x86_64',
  spec_code: 'redis.ha.xu1.large.r2.4',
  capacity: 4,
  capacity_minor: '4',
  max_memory: 4096,
  used_memory: 812,
  az_codes: ['eu-west-101a', 'eu-west-101b'],
  ip: '192.168.0.21',
  port: 6379,
  domain_name: 'redis-demo.dcs.example.com',
  readonly_domain_name: 'redis-demo-readonly.dcs.example.com',
  enable_ssl: false,
  enable_publicip: false,
  publicip_id: '',
  publicip_address: '',
  maintain_begin: '02:00:00',
  maintain_end: '06:00:00',
  features: {
    support_acl: true,
    support_transparent_client_ip: true,
    support_ssl: true,
    support_audit_log: false,
  },
  // No document says what an upgrade makes of it.
  sub_status: 'NORMAL',
};

/** Of the last change; the list and the instance alone spell it differently. */
export const LISTED_SCENERY: Fields = { ...COMMON, updated_at: CREATED };

export const INSTANCE_SCENERY: Fields = {
  ...COMMON,
  update_at: CREATED,
  launched_at: CREATED,
  enterprise_project_name: 'default',
  security_group_name: 'default',
  subnet_name: 'subnet-default',
  subnet_cidr: '192.168.0.0/24',
  available_zones: ['d539378ec1314c85b76fefa3f7071458'],
  backend_addrs: '192.168.0.21:6379',
  product_type: 'generic',
  storage_type: 'DRAM',
  support_slow_log_flag: 'yes',
  db_number: 256,
  replica_count: 2,
  sharding_count: 1,
  transparent_client_ip_enable: false,
  cloud_service_type_code: 'hws.service.type.dcs',
  cloud_resource_type_code: 'hws.resource.type.dcs3',
  inquery_spec_code: 'dcs.ha.xu1.large.r2.4',
  domain_name_info: {
    support_public_resolve: true,
    is_latest_rules: true,
    zone_name: 'dcs.example.com',
    history_domain_names: [{ domain_name: 'redis-old.dcs.example.com', is_readonly: false }],
  },
  instance_backup_policy: {
    backup_policy_id: 'f1d0a2b3-4c5d-4e6f-8a9b-0c1d2e3f4a5b',
    created_at: CREATED,
    updated_at: CREATED,
    tenant_id: '0605767a6f00d5762ff1c001c70e7359',
    policy: {
      backup_type: 'manual',
      save_days: 7,
      periodical_backup_plan: {
        timezone_offset: '+0000',
        backup_at: [1, 3, 5],
        period_type: 'weekly',
        begin_at: '00:00-01:00',
      },
    },
  },
  bandwidth_info: {
    begin_time: 0,
    end_time: 0,
    current_time: 0,
    bandwidth: 128,
    next_expand_time: 0,
    expand_count: 0,
    expand_effect_time: 0,
    expand_interval_time: 1800000,
    max_expand_count: 5,
    task_running: false,
    assured_bandwidth: 128,
    max_bandwidth_for_node: 2048,
  },
};
