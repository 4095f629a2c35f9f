/** What a shard has under way. */
import { expect, it } from 'vitest';
import { ShardInFlight } from '../../workflows/shard-in-flight.js';
import { spec } from './scripted-steps.js';

it('has worked where one is under way beside one that was held back and has ended', () => {
  const inFlight = new ShardInFlight();
  for (const id of ['held-back', 'at-work']) inFlight.add(id, { spec: spec(id), draws: [] });
  inFlight.holdBack('held-back');
  inFlight.delete('held-back');
  inFlight.forgetHeldBack('held-back');
  expect(inFlight.hasWorked).toBe(true);
});
