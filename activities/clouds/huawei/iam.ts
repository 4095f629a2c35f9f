/** Huawei Cloud's IAM: tokens for a user's password, and projects by name (IAM API reference, 3.1.2 and 5.4). */
import { z } from 'zod';
import { classifyBy } from '../classify.js';
import type { Identity } from '../cloud.js';
import { APIGW_ERRORS } from './errors.js';

const issuedToken = z.object({
  token: z.object({ issued_at: z.iso.datetime({ offset: true }), expires_at: z.iso.datetime({ offset: true }) }),
});
const projects = z.object({ projects: z.array(z.object({ id: z.string().min(1), name: z.string() })) });

export const iam: Identity = {
  family: 'iam',
  classify: (error) => classifyBy([APIGW_ERRORS], error),

  withToken: (request, token) => ({ ...request.headers, host: request.host, 'x-auth-token': token }),

  login: ({ user, password, domain }, { projectId, region }) => ({
    path: ['v3', 'auth', 'tokens'],
    // The catalog of all services would be most of the answer.
    query: { nocatalog: 'true' },
    body: {
      auth: {
        identity: { methods: ['password'], password: { user: { domain: { name: domain }, name: user, password } } },
        scope: { project: projectId === '' ? { name: region } : { id: projectId } },
      },
    },
  }),

  issued({ headers, json }) {
    const token = headers['x-subject-token'] ?? '';
    const body = issuedToken.safeParse(json);
    if (token === '' || !body.success) return null;
    const { issued_at, expires_at } = body.data.token;
    // By the cloud's clock alone, which need not be ours.
    const lifetimeMs = Date.parse(expires_at) - Date.parse(issued_at);
    return lifetimeMs > 0 ? { token, lifetimeMs } : null;
  },

  async projectsNamed(read, region) {
    const found = await read({ path: ['v3', 'projects'], query: { name: region } }, projects);
    // A project of a region may have sub-projects: `cn-north-4_team`.
    return found.projects.filter(({ name }) => name === region).map(({ id }) => id);
  },
};
