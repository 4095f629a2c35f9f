/** The environment variables that commands read, beside those of a worker (worker/settings.ts); for the reference. */
export const VARIABLES: Readonly<Record<string, string>> = {
  TEMPORAL_ADDRESS: 'host:port of the Temporal server; left out, with no profile: 127.0.0.1:7233.',
  TEMPORAL_NAMESPACE: 'Its namespace.',
  TEMPORAL_PROFILE: 'A profile of `temporal.toml`: address, namespace, TLS, API key.',
  TEMPORAL_CONFIG_FILE: 'Where `temporal.toml` is, if not where every Temporal tool looks for it.',
  TEMPORAL_API_KEY: 'The API key, and `TEMPORAL_TLS_…` the certificates: as every Temporal tool reads them.',
  UPLIFT_ACCOUNTS: 'The accounts file, where `--accounts` is left out; without both: `accounts.yaml`.',
  UPLIFT_ACTOR:
    'Who acts, in every record; left out: what the profile says ([access](access.md)), the CI job’s user, or user@host.',
  UPLIFT_UI: 'Base URL of the Temporal UI, for links.',
  UPLIFT_CACHE: 'Folder of the programs that are built or downloaded once; left out: `~/.cache/uplift`.',
  UPLIFT_ENCRYPTION_KEYS: 'Keys by which payloads are encrypted ([security](security.md)).',
  UPLIFT_ENCRYPTION_KEYS_FILE: 'The same, from a file.',
  UPLIFT_CODEC_TOKEN: 'What the Temporal UI has to show to `uplift codec-server`.',
  UPLIFT_DEBUG: '`1` shows the stacks of errors.',
  NO_COLOR: 'Anything turns colours off.',
  'CLOUD_SDK_AK, CLOUD_SDK_SK, CLOUD_SDK_SECURITY_TOKEN':
    'Huawei Cloud’s keys, unless an account names another prefix or a file.',
  CLOUD_SDK_TOKEN: 'A token of Huawei’s IAM instead of keys.',
  'CLOUD_SDK_USER, CLOUD_SDK_PASSWORD, CLOUD_SDK_DOMAIN': 'A login to Huawei’s IAM instead of keys.',
  'ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN':
    'Alibaba Cloud’s keys, unless an account names another prefix or a file.',
};

/** What docker-compose.yml asks its caller for, in the file `.env` or the environment; for the reference. */
export const COMPOSE_VARIABLES: Readonly<Record<string, string>> = {
  POSTGRES_PASSWORD: 'The password of its database; there is no preset.',
  UPLIFT_ACCOUNTS_FILE: 'The accounts file of its workers, on the machine that runs it; left out: `./accounts.yaml`.',
};
