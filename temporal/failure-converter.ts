/** Failures whose message and stack are payloads as well, so that they are encrypted with everything else. */
import { DefaultFailureConverter } from '@temporalio/common';

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
