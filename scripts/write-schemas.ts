/** Writes the JSON Schemas that editors use, from the zod schemas; run by `npm run build`. */
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { jsonSchemas } from '../plan/json-schema.js';
import { writeGenerated } from './repository.js';

for (const [name, text] of Object.entries(jsonSchemas(CLOUD_APIS))) writeGenerated(`plan/schema/${name}`, text);
