import { createHash } from 'node:crypto';
import type { ResourceRef } from '../workflows/contracts/upgrade.js';

export interface TokenParts {
  readonly rolloutRun: string;
  readonly resource: ResourceRef;
  readonly targetLabel: string;
  /** The submission's number, or `dry-run`: a dry run has a token of its own. */
  readonly submission: number | 'dry-run';
}

/**
 * The client token of a submit: 64 hex characters, the most that Elasticsearch takes. The same parts give the same
 * token on every worker, so that a repeated send is recognised; it protects, and proves nothing.
 */
export function clientToken({ rolloutRun, resource, targetLabel, submission }: TokenParts): string {
  const parts = [rolloutRun, resource.cloud, resource.family, resource.region, resource.id, targetLabel, submission];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
