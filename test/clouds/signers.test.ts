/** Our signers against the vendors' own signing functions, over many random requests. */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { OpenApiUtil } from '@alicloud/openapi-core';
import { describe, expect, it } from 'vitest';
import { signAlibaba } from '../../activities/clouds/alibaba/signer.js';
import type { UnsignedRequest } from '../../activities/clouds/cloud.js';
import { encodePath, encodeQuery } from '../../activities/clouds/encode.js';
import { signHuawei } from '../../activities/clouds/huawei/signer.js';
import type { AccessKeys } from '../../activities/credentials.js';

// Not exported from the package's root, whose other exports log secrets.
interface HuaweiOracle {
  sign(request: unknown, credential: { getAk(): string; getSk(): string }): Record<string, string>;
}
const require = createRequire(import.meta.url);
const { AKSKSigner } = require('@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js') as { AKSKSigner: HuaweiOracle };

const ROUNDS = 500;
/** Everything that encodings differ about; no space in paths, which Huawei's npm signer encodes twice. */
const PATH_ALPHABET = [...'abcXYZ0189-_.~!*()+$,;:@&='.split(''), 'ä', '图', '😀'];
const QUERY_ALPHABET = [...PATH_ALPHABET, ' ', '/', '?', '#', '%', "'", '"', '<', '|', '\\'];

/** A small seeded generator, so that a failing round can be run again. */
function generator(seed: number) {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  const text = (alphabet: readonly string[], longest: number): string =>
    Array.from({ length: 1 + below(longest) }, () => alphabet[below(alphabet.length)]).join('');
  return { below, text };
}

interface Round {
  readonly method: string;
  readonly segments: string[];
  readonly query: Record<string, string>;
  readonly data: Record<string, unknown> | null;
  readonly keys: AccessKeys;
  readonly now: number;
  readonly extra: Record<string, string>;
}

function randomRound(seed: number): Round {
  const { below, text } = generator(seed);
  const query: Record<string, string> = {};
  for (let count = below(6); count > 0; count--) query[text('abAB19-_.'.split(''), 6)] = text(QUERY_ALPHABET, 12);
  if (below(4) === 0) query['empty'] = '';
  return {
    method: ['GET', 'POST', 'PUT'][below(3)] ?? 'GET',
    segments: ['v1.0', ...Array.from({ length: 1 + below(5) }, () => `s${text(PATH_ALPHABET, 10)}`)],
    query,
    data: below(2) === 0 ? null : { version: text(QUERY_ALPHABET, 20), list: [1, text(QUERY_ALPHABET, 5)], no: null },
    keys: {
      accessKey: text('ABCDEF0123'.split(''), 20),
      secretKey: text('abcdef/+=0123'.split(''), 40),
      securityToken: below(2) === 0 ? null : text('abcdef/+=0123'.split(''), 90),
    },
    now: Date.UTC(2026, below(12), 1 + below(28), below(24), below(60), below(60), below(1000)),
    extra: below(2) === 0 ? {} : { 'x-project-id': text('abc012'.split(''), 30) },
  };
}

function unsigned(round: Round, headers: Record<string, string>): UnsignedRequest {
  return {
    method: round.method,
    host: 'ges.cn-north-4.myhuaweicloud.com',
    path: encodePath(round.segments),
    query: encodeQuery(round.query),
    headers,
    body: round.data === null ? '' : JSON.stringify(round.data),
  };
}

describe('SDK-HMAC-SHA256', () => {
  it(`signs ${ROUNDS} random requests as Huawei's own signer does`, () => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      const round = randomRound(seed);
      const headers = { 'content-type': 'application/json', ...round.extra };
      const ours = signHuawei(unsigned(round, headers), round.keys, round.now);

      const theirs = AKSKSigner.sign(
        {
          method: round.method,
          endpoint: `https://ges.cn-north-4.myhuaweicloud.com/${round.segments.join('/')}`,
          queryParams: { ...round.query },
          headers: {
            ...headers,
            'X-Sdk-Date': ours['x-sdk-date'],
            ...(round.keys.securityToken === null ? {} : { 'X-Security-Token': round.keys.securityToken }),
          },
          ...(round.data === null ? {} : { data: round.data }),
        },
        { getAk: () => round.keys.accessKey, getSk: () => round.keys.secretKey },
      );
      expect(ours['authorization'], `round ${seed}`).toBe(theirs['Authorization']);
      expect(ours['x-security-token'] ?? null, `round ${seed}`).toBe(round.keys.securityToken);
    }
  });

  it('changes with every part of the request and of the keys', () => {
    const round = { ...randomRound(7), data: { a: 1 }, query: { q: '1' } };
    const request = unsigned(round, {});
    const keys = { ...round.keys, securityToken: 'token' };
    const signatures = [
      signHuawei(request, keys, round.now),
      signHuawei({ ...request, method: 'DELETE' }, keys, round.now),
      signHuawei({ ...request, path: `${request.path}x` }, keys, round.now),
      signHuawei({ ...request, query: 'q=2' }, keys, round.now),
      signHuawei({ ...request, body: '{}' }, keys, round.now),
      signHuawei({ ...request, host: 'elsewhere' }, keys, round.now),
      signHuawei(request, { ...keys, secretKey: 'other' }, round.now),
      signHuawei(request, { ...keys, securityToken: 'other' }, round.now),
      signHuawei(request, keys, round.now + 1000),
    ].map((headers) => headers['authorization']?.replace(/.*Signature=/, ''));
    expect(new Set(signatures).size).toBe(signatures.length);
  });
});

describe('ACS3-HMAC-SHA256', () => {
  it(`signs ${ROUNDS} random requests as Alibaba's own signer does`, () => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      const round = randomRound(seed);
      const headers = {
        accept: 'application/json',
        'x-acs-action': 'UpgradeEngineVersion',
        'x-acs-version': '2017-06-13',
        ...(round.data === null ? {} : { 'content-type': 'application/json' }),
      };
      const request = unsigned(round, headers);
      const nonce = `nonce-${seed}`;
      const ours = signAlibaba(request, round.keys, round.now, nonce);

      const payload = createHash('sha256').update(request.body).digest('hex');
      const theirs = OpenApiUtil.getAuthorization(
        {
          method: round.method,
          pathname: request.path,
          query: round.query,
          headers: {
            ...headers,
            host: request.host,
            'x-acs-date': new Date(round.now).toISOString().replace(/\.\d{3}/, ''),
            'x-acs-signature-nonce': nonce,
            'x-acs-content-sha256': payload,
            ...(round.keys.securityToken === null
              ? {}
              : { 'x-acs-security-token': round.keys.securityToken, 'x-acs-accesskey-id': round.keys.accessKey }),
          },
        } as never,
        'ACS3-HMAC-SHA256',
        payload,
        round.keys.accessKey,
        round.keys.secretKey,
      );
      expect(ours['authorization'], `round ${seed}`).toBe(theirs);
    }
  });
});

describe('paths and queries', () => {
  it('encodes what encodeURIComponent leaves alone, and sorts by decoded name', () => {
    expect(encodePath(['a b', "!'()*", '图/x'])).toBe('/a%20b/%21%27%28%29%2A/%E5%9B%BE%2Fx');
    expect(encodeQuery({ b: '1', a: 'x y', B: '', gone: undefined })).toBe('B=&a=x%20y&b=1');
  });

  it.each([['.'], ['..'], ['']])('refuses the segment "%s"', (segment) => {
    expect(() => encodePath(['v2', segment, 'graphs'])).toThrow(RangeError);
  });
});
