/** What a resource's state says in words, and whether one that is at its target is well there: only then is it done. */
import type { CloudApi, CloudReader, Health, ResourceState } from './clouds/port.js';

/** `version 7.10.0, status active` */
export function describeState({ version, status }: ResourceState): string {
  return `version ${version}, status ${status}`;
}

/** Of one that is at its target; costs a call where the API keeps health apart from the state. */
export async function healthAtTarget(api: CloudApi, reader: CloudReader, state: ResourceState): Promise<Health> {
  const { healthy, detail } = await api.health(reader, state.id, state);
  return { healthy: healthy && state.condition === 'ready', detail };
}

/** Why one that is at its target is not done all the same; `null` when it is well. */
export async function whyUnwell(api: CloudApi, reader: CloudReader, state: ResourceState): Promise<string | null> {
  const { healthy, detail } = await healthAtTarget(api, reader, state);
  return healthy ? null : `at its target, and unhealthy: ${describeState(state)}, ${detail}`;
}
