import { hostname, userInfo } from 'node:os';
import { configuredActor } from '../temporal/connection.js';
import { plainWords } from '../workflows/contracts/control.js';

/**
 * Who a history and a report name: the person, as the environment or the profile in use tells, or what CI says who it is.
 * Temporal's own authorisation decides what they may.
 *
 * @throws TemporalSetupError for a profile that cannot be read
 */
export function actor(): string {
  const { UPLIFT_ACTOR, GITHUB_ACTOR, GITLAB_USER_LOGIN } = process.env;
  const told = UPLIFT_ACTOR || configuredActor() || GITHUB_ACTOR || GITLAB_USER_LOGIN;
  const plain = plainWords(told ?? '');
  if (plain !== '') return plain;
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A container's user may have no name.
    return `uid ${process.getuid?.() ?? '?'}@${hostname()}`;
  }
}
