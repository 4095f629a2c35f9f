import type { ErrorTable } from '../classify.js';

/** Codes of the gateway before every Huawei Cloud service (API Gateway, Error Codes). */
export const APIGW_ERRORS: ErrorTable = {
  // API or backend not found: our path is wrong, not the resource's id.
  permanent: ['APIGW.0101', 'APIGW.0103'],
  // 0303 is also what a request more than 15 minutes off is answered with.
  'clock-skew': ['APIGW.0303'],
  denied: ['APIGW.0301', 'APIGW.0302', 'APIGW.0304', 'APIGW.0305', 'APIGW.0306'],
  token: ['APIGW.0307'],
  throttled: ['APIGW.0308'],
  // APIGW.0201 is one code for a bad request (4xx) and a backend's time-out (5xx): its HTTP status decides.
};
