/** Names of all queries, signals and updates. */
export const MESSAGES = {
  rolloutStatus: 'rolloutStatus',
  shardStatus: 'shardStatus',
  shardProgress: 'shardProgress',
} as const;
