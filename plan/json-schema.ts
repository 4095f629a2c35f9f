import { z } from 'zod';
import type { CloudApi } from '../activities/clouds/port.js';
import { accountsSchema } from './accounts.js';
import { planSchema } from './schema.js';

/**
 * The JSON Schemas of both files, by file name in `plan/schema/`. Draft 7, which every editor's YAML support knows;
 * what it cannot say (a wave's targets exist, an account fits) is left to `uplift validate`.
 */
export function jsonSchemas(apis: readonly CloudApi[]): Readonly<Record<string, string>> {
  const text = (schema: z.ZodType, title: string): string => {
    const generated = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' });
    return `${JSON.stringify({ title, ...generated }, null, 2)}\n`;
  };
  return {
    'rollout.schema.json': text(planSchema(apis), 'Uplift rollout plan'),
    'accounts.schema.json': text(accountsSchema(apis), 'Uplift accounts'),
  };
}
