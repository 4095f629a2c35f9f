import { describe, expect, it } from 'vitest';
import { errorOf, redacted } from '../../activities/clouds/envelopes.js';
import { Credentials } from '../../activities/credentials.js';

/** What an error message may do to a secret that it quotes, before anybody looks for it. */
describe('redacted', () => {
  const password = 'two  blanks-Secret-and-a-long-tail-0123456789';
  const credentials = new Credentials({ kind: 'login', login: { user: 'u', password, domain: 'd' } });
  const quoted = (text: string) => {
    const json = { error: { code: 401, message: text } };
    return errorOf(redacted({ status: 401, headers: {}, json, text: JSON.stringify(json) }, credentials).json)?.message;
  };

  it('finds a secret that folding blanks would hide', () => {
    expect(quoted(`wrong: ${password}`)).toBe('wrong: ***');
  });
  it('finds a secret that cutting a long message would leave a part of', () => {
    const message = quoted(`${'x'.repeat(270)}${password}`) ?? '';
    expect(message).not.toContain('Secret');
    expect(message).toContain('***');
  });
});
