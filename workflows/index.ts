/** The workflow types. Every name exported here can be started on a server, so nothing else is. */
export { rollout } from './rollout.js';
export { wave } from './wave.js';
export { shard } from './shard.js';
export { upgrade } from './upgrade.js';
export { occurrence } from './occurrence.js';
export { notice } from './notice.js';
export { inventory } from './inventory.js';
export { ledger } from './ledger.js';
