/**
 * For workflows on a clock that skips hours: steps without heartbeat time-outs, since none beats while time is skipped.
 */
import type { WorkflowInterceptorsFactory } from '@temporalio/workflow';

export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      scheduleActivity: async (input, next) => {
        const { heartbeatTimeout: _, ...options } = input.options;
        return next({ ...input, options });
      },
    },
  ],
});
