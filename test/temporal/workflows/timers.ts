import { sleep } from '@temporalio/workflow';

/** Sleeps, and answers how long the server's clock says it was. */
export async function sleepFor(ms: number): Promise<number> {
  const start = Date.now();
  await sleep(ms);
  return Date.now() - start;
}
