/** Writes the JSON Schemas that editors use, from the zod schemas; run by `npm run build`. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { jsonSchemas } from '../plan/json-schema.js';

/** The repository's root, from `scripts/` as well as from `dist/scripts/`. */
function repositoryRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

const folder = join(repositoryRoot(), 'plan', 'schema');
mkdirSync(folder, { recursive: true });
for (const [name, text] of Object.entries(jsonSchemas(CLOUD_APIS))) {
  const file = join(folder, name);
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
  writeFileSync(file, text);
  console.error(`wrote plan/schema/${name}`);
}
