/** How a send ended, as exactly one of the seven classes of answers. */
import { errorOf, requestIdOf } from './clouds/envelopes.js';
import type { CloudApi, CloudResponse, SubmitAnswer } from './clouds/port.js';
import type { Sent } from './clouds/session.js';

export { requestIdOf };

/** Classifies a send's end. Whatever is not certainly something else is `unknown`: then evidence decides. */
export function answerOf(api: CloudApi, sent: Sent, resourceId: string): SubmitAnswer {
  switch (sent.kind) {
    case 'not-sent':
      return { kind: 'not-sent', reason: sent.reason };
    case 'unanswered':
      return { kind: 'unknown', reason: sent.reason };
    case 'answered':
      return classified(api, sent.response, resourceId);
  }
}

function classified(api: CloudApi, response: CloudResponse, resourceId: string): SubmitAnswer {
  const error = errorOf(response.json);
  if (response.status >= 200 && response.status < 300) {
    // An error inside a 200 proves neither acceptance nor refusal.
    if (error !== null)
      return { kind: 'unknown', reason: `HTTP ${response.status} with ${error.code}: ${error.message}` };
    return api.accepted(response, resourceId);
  }
  if (error === null) return { kind: 'unknown', reason: `HTTP ${response.status} without a readable error` };
  const reason = `${error.code}: ${error.message}`;
  // Only a 4xx is the service's own word; a redirect or a failure says nothing of what was done.
  if (response.status < 400 || response.status >= 500)
    return { kind: 'unknown', reason: `HTTP ${response.status} ${reason}` };
  switch (api.classify({ status: response.status, code: error.code, message: error.message })) {
    case 'permanent':
    case 'not-found':
    case 'denied':
      return { kind: 'refused', reason };
    case 'busy':
      return { kind: 'busy', reason };
    case 'already-done':
      return { kind: 'already-done', reason };
    case 'throttled':
      return { kind: 'throttled', reason };
    // The gateway turned it away before the service saw it.
    case 'token':
    case 'clock-skew':
      return { kind: 'not-sent', reason };
    case 'transient':
      return { kind: 'unknown', reason: `HTTP ${response.status} ${reason}` };
  }
}
