import { hostname, userInfo } from 'node:os';

/** Who a history and a report name: the person, or what CI says who it is. Temporal's own authorisation decides what they may. */
export function actor(): string {
  const told = process.env['UPLIFT_ACTOR'] ?? process.env['GITHUB_ACTOR'] ?? process.env['GITLAB_USER_LOGIN'];
  if (told) return told;
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A container's user may have no name.
    return `uid ${process.getuid?.() ?? '?'}@${hostname()}`;
  }
}
