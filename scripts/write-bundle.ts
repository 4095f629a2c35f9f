/** Part of `npm run build`: the workflows as the one file that workers load. */
import { writeWorkflowBundle } from '../worker/bundle.js';

await writeWorkflowBundle();
