/** Names of all queries, signals and updates. */
export const MESSAGES = {
  rolloutStatus: 'rolloutStatus',
  shardStatus: 'shardStatus',
  shardProgress: 'shardProgress',
  upgradeOverdue: 'upgradeOverdue',
  resolve: 'resolve',
  shardWord: 'shardWord',
  grant: 'grant',
  releaseInventory: 'releaseInventory',
  control: 'control',
  skip: 'skip',
  decide: 'decide',
  setConcurrency: 'setConcurrency',
  waveOrder: 'waveOrder',
  skipOrder: 'skipOrder',
  upgradeHeldBack: 'upgradeHeldBack',
  goOn: 'goOn',
} as const;
