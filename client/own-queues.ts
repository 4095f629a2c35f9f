/** The queues that accounts have of their own, as the accounts file names them. */
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { loadAccounts } from '../plan/accounts.js';

/** Empty where the file cannot be used; `problem` is told why. */
export function ownQueues(accountsFile: string, problem: (error: unknown) => void = () => {}): string[] {
  try {
    return [...loadAccounts(accountsFile, CLOUD_APIS).values()].flatMap(({ queue }) => queue ?? []);
  } catch (error) {
    problem(error);
    return [];
  }
}
