/** What stands before the services of a cloud: signatures, request ids, and errors that no service wrote. */
import type { Cloud, SimulatedCredentials } from './model.js';
import type { Reply } from './service.js';
import { Nonces, verifyAcs3 } from './signatures/acs3.js';
import type { SignedRequest, Verdict } from './signatures/request.js';
import { verifySdkHmac } from './signatures/sdk-hmac.js';

export interface Gateway {
  verify(request: SignedRequest, keys: readonly SimulatedCredentials[], now: number): Verdict;
  /** Header that answers carry the request's id in. */
  readonly requestIdHeader: string;
  requestId(uuid: string): string;
  error(status: number, code: string, message: string, requestId: string): Reply;
  throttled(requestId: string): Reply;
  /** A 5xx of the layer before the service. */
  unavailable(status: number, requestId: string): Reply;
  unknownPath(requestId: string): Reply;
  /** The path names a project that the key has no right to. */
  denied(requestId: string): Reply;
  badBody(requestId: string): Reply;
}

function huawei(): Gateway {
  const error: Gateway['error'] = (status, code, message, requestId) => ({
    status,
    body: { error_code: code, error_msg: message, request_id: requestId },
  });
  return {
    verify: verifySdkHmac,
    requestIdHeader: 'X-Request-Id',
    requestId: (uuid) => uuid.replaceAll('-', ''),
    error,
    throttled: (id) =>
      error(429, 'APIGW.0308', 'The throttling threshold has been reached: policy user over ratelimit,limit:10', id),
    unavailable: (status, id) =>
      error(status, 'APIGW.0201', status === 504 ? 'Backend timeout.' : 'Backend unavailable.', id),
    unknownPath: (id) => error(404, 'APIGW.0101', 'The API does not exist or has not been published.', id),
    denied: (id) => error(403, 'APIGW.0302', 'The IAM user is not authorized to access the API.', id),
    badBody: (id) => error(400, 'APIGW.0201', 'Bad request: the body is no JSON object.', id),
  };
}

function alibaba(): Gateway {
  const nonces = new Nonces();
  const error: Gateway['error'] = (status, code, message, requestId) => ({
    status,
    body: { RequestId: requestId, Code: code, Message: message },
  });
  return {
    verify: (request, keys, now) => verifyAcs3(request, keys, nonces, now),
    requestIdHeader: 'x-acs-request-id',
    requestId: (uuid) => uuid.toUpperCase(),
    error,
    throttled: (id) => error(400, 'Throttling.User', 'Request was denied due to user flow control.', id),
    unavailable: (status, id) =>
      status === 500
        ? error(500, 'InternalServerError', 'The request processing has failed due to some unknown error.', id)
        : error(status, 'ServiceUnavailable', 'The request has failed due to a temporary failure of the server.', id),
    unknownPath: (id) => error(404, 'InvalidAction.NotFound', 'Specified api is not found.', id),
    denied: (id) => error(403, 'Forbidden.RAM', 'User not authorized to operate on the specified resource.', id),
    badBody: (id) => error(400, 'InvalidParameter', 'The body is no JSON object.', id),
  };
}

/** One gateway a cloud, each with its own memory of nonces. */
export function gateways(): Record<Cloud, Gateway> {
  return { huawei: huawei(), alibaba: alibaba() };
}
