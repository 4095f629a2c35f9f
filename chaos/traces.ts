/** What a run leaves behind: files that must hold no secret, and histories that must replay. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { BUNDLE } from '../worker/bundle.js';

/** How IAM's tokens begin, here and at the real cloud: base64 of a signed message. */
const TOKEN = /MII[A-Za-z0-9+/=]{60}/;
const SECRET_FILES = '.credentials.yaml';

export interface Search {
  readonly files: number;
  readonly bytes: number;
  /** Files that hold `marker`, which is no secret: proof that a search finds what is there. */
  readonly marked: number;
  readonly breaches: readonly string[];
}

/** Searches every file below `directory`, the database among them, but the credentials files. */
export async function searchForSecrets(directory: string, secrets: readonly string[], marker: string): Promise<Search> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith(SECRET_FILES));
  const breaches: string[] = [];
  let bytes = 0;
  let marked = 0;
  for (const file of files) {
    const text = (await readFile(join(file.parentPath, file.name))).toString('latin1');
    bytes += text.length;
    if (text.includes(marker)) marked += 1;
    if (secrets.some((secret) => text.includes(secret))) breaches.push(`${file.name} holds a secret of an account`);
    if (TOKEN.test(text)) breaches.push(`${file.name} holds a token`);
  }
  return { files: files.length, bytes, marked, breaches };
}

/** Replays the history of every run of the namespace on today's workflows. */
export async function replayAll(client: Client): Promise<{ readonly replayed: number; readonly breaches: string[] }> {
  const breaches: string[] = [];
  let replayed = 0;
  const logger = new DefaultLogger('ERROR');
  Runtime.install({ logger });
  const workflowBundle = await bundleWorkflowCode({ ...BUNDLE, logger });
  const histories = client.workflow.list().intoHistories({ concurrency: 8 });
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, histories)) {
    replayed += 1;
    if (error !== undefined) breaches.push(`${workflowId} does not replay: ${error.message.split('\n')[0]}`);
  }
  return { replayed, breaches };
}
