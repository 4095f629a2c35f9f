/** GES API v2 (API reference, Upgrading a Graph): snake_case, the upgrade as a path of its own. */
import { z } from 'zod';
import { optionalText, tagsField } from './fields.js';
import { gesApi, statusField } from './ges.js';

const graph = z
  .object({ id: z.string(), name: z.string(), status: statusField, data_store_version: z.string(), tags: tagsField })
  .transform(({ data_store_version: version, ...rest }) => ({ ...rest, version }));

/** In a list, a graph that is being created has no version yet. */
const listedGraph = z
  .object({ id: z.string(), name: z.string(), status: statusField, data_store_version: optionalText, tags: tagsField })
  .transform(({ data_store_version: version, ...rest }) => ({ ...rest, version }));

const job = z
  .object({
    job_id: z.string(),
    status: z.string(),
    job_name: optionalText,
    related_graph: optionalText,
    begin_time: optionalText,
    fail_reason: optionalText,
  })
  .transform((found) => ({
    id: found.job_id,
    status: found.status,
    name: found.job_name,
    graph: found.related_graph,
    beginTime: found.begin_time,
    failReason: found.fail_reason,
  }));

export const gesV2 = gesApi({
  service: 'ges-v2',
  root: 'v2',
  graph: z.object({ graph }).transform((body) => body.graph),
  graphs: z
    .object({ graph_count: z.number(), graphs: z.array(listedGraph) })
    .transform((body) => ({ items: body.graphs, total: body.graph_count })),
  job,
  jobs: z
    .object({ job_count: z.number(), job_list: z.array(job) })
    .transform((body) => ({ items: body.job_list, total: body.job_count })),
  jobsQuery: (name, day) => ({ graph_name: name, start_time: day }),
  upgrade: ({ version, forceUpgrade }) => ({
    path: ['upgrade'],
    body: { upgrade_version: version, force_upgrade: forceUpgrade },
  }),
  accepted: z.object({ job_id: z.string().min(1) }).transform((body) => body.job_id),
});
