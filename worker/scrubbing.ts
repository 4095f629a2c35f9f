/** The one way out of a worker to the Temporal server: what passes here shows no secret that the process holds. */
import type { DataConverter, Payload, PayloadCodec } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { scrub, scrubError } from '../activities/secrets.js';

/** Messages and stacks of failures are no payloads, so they are scrubbed where an activity throws them. */
export const scrubbingInterceptor: ActivityInboundCallsInterceptor = {
  async execute(input, next) {
    try {
      return await next(input);
    } catch (error) {
      throw scrubError(error);
    }
  },
};

const scrubbingCodec: PayloadCodec = {
  encode: (payloads) => Promise.resolve(payloads.map(scrubbed)),
  decode: (payloads) => Promise.resolve(payloads),
};

/** Results, heartbeats, details, memos and queries: scrubbed before anything encrypts them. */
export function scrubbing(converter: DataConverter = {}): DataConverter {
  return { ...converter, payloadCodecs: [scrubbingCodec, ...(converter.payloadCodecs ?? [])] };
}

function scrubbed(payload: Payload): Payload {
  if (payload.data == null) return payload;
  const text = Buffer.from(payload.data).toString('utf8');
  const clean = scrub(text);
  return clean === text ? payload : { ...payload, data: Buffer.from(clean) };
}
