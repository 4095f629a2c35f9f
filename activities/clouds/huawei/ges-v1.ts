/** GES API v1 (API reference 1.0.5, Upgrading a Graph): camelCase, the upgrade as an action. */
import { z } from 'zod';
import { optionalText, sizeField, tagsField } from './fields.js';
import { gesApi, statusField } from './ges.js';

const fields = {
  id: z.string(),
  name: z.string(),
  status: statusField,
  graphSizeTypeIndex: sizeField,
  tags: tagsField,
};
const graph = z
  .object({ ...fields, dataStoreVersion: z.string() })
  .transform(({ dataStoreVersion: version, graphSizeTypeIndex: size, ...rest }) => ({ ...rest, version, size }));

/** In a list, a graph that is being created has no version yet. */
const listedGraph = z
  .object({ ...fields, dataStoreVersion: optionalText })
  .transform(({ dataStoreVersion: version, graphSizeTypeIndex: size, ...rest }) => ({ ...rest, version, size }));

const job = z
  .object({
    jobId: z.string(),
    status: z.string(),
    jobName: optionalText,
    relatedGraph: optionalText,
    beginTime: optionalText,
    failReason: optionalText,
    // A job that failed may carry its error here, beside a status: then it is the job's, not the call's.
    errorCode: optionalText,
    errorMessage: optionalText,
  })
  .transform((found) => ({
    id: found.jobId,
    status: found.status,
    name: found.jobName,
    graph: found.relatedGraph,
    beginTime: found.beginTime,
    failReason: found.failReason || [found.errorCode, found.errorMessage].filter((part) => part !== '').join(' '),
  }));

export const gesV1 = gesApi({
  service: 'ges-v1',
  root: 'v1.0',
  graph: z.object({ graph }).transform((body) => body.graph),
  graphs: z
    .object({ graphCount: z.number(), graphs: z.array(listedGraph) })
    .transform((body) => ({ items: body.graphs, total: body.graphCount })),
  job,
  jobs: z
    .object({ jobCount: z.number(), jobList: z.array(job) })
    .transform((body) => ({ items: body.jobList, total: body.jobCount })),
  jobsQuery: (name, day) => ({ graph_name: name, startTime: day }),
  upgrade: ({ version, forceUpgrade }) => ({
    path: ['action'],
    query: { action_id: 'upgrade' },
    body: { upgradeVersion: version, forceUpgrade },
  }),
  accepted: z.object({ jobId: z.string().min(1) }).transform((body) => body.jobId),
});
