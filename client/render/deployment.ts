/** A worker deployment as people read it. */
import type { DeploymentView, VersionView } from '../deployments.js';
import type { Paint } from './paint.js';
import { renderTable } from './table.js';

const COLUMNS = [
  { head: 'build' },
  { head: 'state' },
  { head: 'upgrades', align: 'right' },
  { head: 'workers', wraps: true },
] as const;

export function renderDeployment({ name, current, versions }: DeploymentView, width: number, paint: Paint): string {
  const state =
    current === null
      ? paint.yellow(
          'no build is current: tasks go only to workers without a deployment (uplift worker promote gives them to a build)',
        )
      : `${current} is current`;
  return `${paint.bold(name)}: ${state}\n${renderTable(COLUMNS, versions.map(row), width, paint)}`;
}

function row({ buildId, state, upgrades, workers, unserved }: VersionView): string[] {
  const lack = workers.length > 0 && unserved.length > 0 ? ` (none polls ${unserved.join(', ')})` : '';
  return [buildId, state, String(upgrades), workers.length === 0 ? 'none' : `${workers.join(', ')}${lack}`];
}
