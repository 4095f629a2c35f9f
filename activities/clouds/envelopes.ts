/** How the clouds say that something went wrong: four shapes at Huawei Cloud, one at Alibaba. */
import type { CloudResponse } from './port.js';

/** A cloud's error as it names it. */
export interface Envelope {
  readonly code: string;
  /** One line. */
  readonly message: string;
}

/** Code and message fields that appear together, and the fields that may say more: CSE's `detail`, DCS's `error_ext_msg`. */
const SHAPES = [
  ['errorCode', ['errorMessage', 'errorMsg'], []],
  ['errCode', ['externalMessage'], []],
  ['error_code', ['error_msg'], ['detail', 'error_ext_msg']],
  ['Code', ['Message'], []],
] as const;

/** Codes that some answers carry although nothing went wrong. */
const NO_ERROR = /^(0|200|ok|success)?$/i;
const LONGEST_MESSAGE = 300;

/** The error inside an answer's body, whatever its HTTP status; `null` when there is none. */
export function errorOf(json: unknown): Envelope | null {
  if (!isObject(json)) return null;
  for (const [codeField, messageFields, moreFields] of SHAPES) {
    const code = textOf(json[codeField]);
    if (NO_ERROR.test(code)) continue;
    const message = messageFields.map((field) => textOf(json[field])).find((text) => text !== '') ?? 'no message';
    const more = moreFields.map((field) => textOf(json[field])).filter((text) => text !== '');
    return { code, message: oneLine(more.length === 0 ? message : `${message} (${more.join('; ')})`) };
  }
  const nested = json['error'];
  if (!isObject(nested) || NO_ERROR.test(textOf(nested['code']))) return null;
  return { code: textOf(nested['code']), message: oneLine(textOf(nested['message']) || 'no message') };
}

/** The cloud's own id of a request, by which its support finds it. */
export function requestIdOf(response: Pick<CloudResponse, 'headers' | 'json'>): string | null {
  const body = isObject(response.json) ? response.json : {};
  const candidates = [
    body['RequestId'],
    body['request_id'],
    response.headers['x-request-id'],
    response.headers['x-acs-request-id'],
  ];
  return candidates.map(textOf).find((text) => text !== '') ?? null;
}

/**
 * An answer without the secrets that it may repeat. It comes before anything else looks at the answer: a text that was
 * folded or cut no longer shows a secret to who looks for it.
 */
export function redacted(response: CloudResponse, by: { redact(text: string): string }): CloudResponse {
  const { json } = response;
  if (json === undefined) return { ...response, text: by.redact(response.text) };
  const clean = mapTexts(json, (text) => by.redact(text));
  return { ...response, json: clean, text: JSON.stringify(clean) };
}

function mapTexts(json: unknown, change: (text: string) => string): unknown {
  if (typeof json === 'string') return change(json);
  if (Array.isArray(json)) return json.map((item) => mapTexts(item, change));
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, mapTexts(value, change)]));
}

/** A foreign text as a part of one line. */
export function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > LONGEST_MESSAGE ? `${line.slice(0, LONGEST_MESSAGE)}…` : line;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
