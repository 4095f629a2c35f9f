/** GES API v2 (API reference, Upgrading a Graph): snake_case, the upgrade as a path of its own. */
import { z } from 'zod';
import { optionalText, sizeField, tagsField } from './fields.js';
import { gesApi, statusField } from './ges.js';

const fields = {
  id: z.string(),
  name: z.string(),
  status: statusField,
  graph_size_type_index: sizeField,
  tags: tagsField,
};
const graph = z
  .object({ ...fields, data_store_version: z.string() })
  .transform(({ data_store_version: version, graph_size_type_index: size, ...rest }) => ({ ...rest, version, size }));

/** In a list, a graph that is being created has no version yet. */
const listedGraph = z
  .object({ ...fields, data_store_version: optionalText })
  .transform(({ data_store_version: version, graph_size_type_index: size, ...rest }) => ({ ...rest, version, size }));

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
