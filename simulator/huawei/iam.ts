/**
 * Huawei Cloud's IAM: tokens for a user's password, projects by name, temporary keys for a token. It stands beside the
 * services, since their gateway asks it who calls.
 *
 * What no document says, and is a guess here: the answer to a locked user, and IAM's texts.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../activities/clock.js';
import type { SimulatedCredentials } from '../model.js';
import type { Reply } from '../service.js';
import { queryPairs, sameSecret, type SignedRequest, type Verdict } from '../signatures/request.js';
import type { Store } from '../store.js';
import { count } from '../truth.js';
import { newUuid } from '../world.js';

/** What IAM remembers: part of the state on disk. No token is in it. */
export interface IamState {
  /** By SHA-256 of the token. */
  tokens: Record<string, { readonly account: string; readonly endsAt: number; isRevoked: boolean }>;
  temporaryKeys: { readonly keys: SimulatedCredentials; readonly endsAt: number }[];
  /** Times of wrong passwords, by user. */
  wrongPasswords: Record<string, number[]>;
}

const TOKEN_MS = 24 * 3_600_000;
/** So many wrong passwords within so long lock the user for as long again. */
const WRONG_PASSWORDS = 5;
const LOCK_MS = 15 * 60_000;

const loginBody = z.object({
  auth: z.strictObject({
    identity: z.strictObject({
      methods: z.tuple([z.literal('password')]),
      password: z.strictObject({
        user: z.strictObject({ domain: z.strictObject({ name: z.string() }), name: z.string(), password: z.string() }),
      }),
    }),
    scope: z.strictObject({
      project: z.union([z.strictObject({ id: z.string() }), z.strictObject({ name: z.string() })]),
    }),
  }),
});
const temporaryKeysBody = z.object({
  auth: z.object({
    identity: z.object({
      methods: z.tuple([z.literal('token')]),
      token: z.object({ duration_seconds: z.int().min(900).max(86_400).default(900) }).prefault({}),
    }),
  }),
});

export interface IamOptions {
  readonly store: Store;
  readonly credentials: readonly SimulatedCredentials[];
  readonly clock: Clock;
  /** How long a token lasts. */
  readonly tokenMs?: number;
}

export class Iam {
  readonly #store: Store;
  readonly #users: readonly SimulatedCredentials[];
  readonly #clock: Clock;
  readonly #tokenMs: number;

  constructor({ store, credentials, clock, tokenMs = TOKEN_MS }: IamOptions) {
    this.#tokenMs = tokenMs;
    this.#store = store;
    this.#users = credentials.filter(({ cloud }) => cloud === 'huawei');
    this.#clock = clock;
  }

  /**
   * The answer to a call of IAM's own; `null` for any other.
   *
   * @param verify who calls, by signature or token: a login alone does without
   */
  answer(request: SignedRequest, verify: () => Verdict): Reply | null {
    switch (`${request.method} ${request.path}`) {
      case 'POST /v3/auth/tokens':
        return this.#logIn(request);
      case 'GET /v3/projects':
        return this.#known(verify, (caller) => this.#projects(request, caller));
      case 'POST /v3.0/OS-CREDENTIAL/securitytokens':
        return this.#known(verify, (caller) => this.#temporaryKeys(request, caller));
      default:
        return null;
    }
  }

  /** What the gateway of every service asks: `APIGW.0307` for a token that has ended or was revoked. */
  verify(token: string): Verdict {
    const known = this.#state().tokens[hash(token)];
    const credentials = this.#users.find(({ account }) => account === known?.account);
    if (known === undefined || credentials === undefined) {
      const message = 'Incorrect IAM authentication information: decrypt token fail';
      return { ok: false, status: 401, code: 'APIGW.0301', message };
    }
    return known.isRevoked || known.endsAt <= this.#clock.now()
      ? { ok: false, status: 401, code: 'APIGW.0307', message: 'The token must be updated.' }
      : { ok: true, credentials };
  }

  /** Temporary keys that have not ended. */
  keys(): SimulatedCredentials[] {
    const now = this.#clock.now();
    return this.#state()
      .temporaryKeys.filter(({ endsAt }) => now < endsAt)
      .map(({ keys }) => keys);
  }

  /**
   * Ends all tokens that are good now, of one account or of all, as a changed password or permission does.
   *
   * @returns how many
   */
  revokeTokens(account?: string): number {
    const good = Object.values(this.#state().tokens).filter(
      (token) => !token.isRevoked && (account === undefined || token.account === account),
    );
    for (const token of good) token.isRevoked = true;
    this.#store.save();
    return good.length;
  }

  #logIn(request: SignedRequest): Reply {
    const asked = loginBody.safeParse(parse(request.body));
    if (!asked.success) return failure(400, `The request body is invalid: ${asked.error.issues[0]?.path.join('.')}`);
    const now = this.#clock.now();
    const { truth } = this.#store.state;
    const { user } = asked.data.auth.identity.password;
    const name = `${user.domain.name}/${user.name}`;
    const wrong = (this.#state().wrongPasswords[name] ?? []).filter((at) => at > now - LOCK_MS);
    const refuse = (message: string): Reply => {
      count(truth.refusedLogins, name);
      this.#store.save();
      return failure(401, message);
    };
    if (wrong.length >= WRONG_PASSWORDS) return refuse('The user is locked.');
    const caller = this.#users.find(
      ({ login }) => login !== undefined && login.user === user.name && login.domain === user.domain.name,
    );
    if (caller?.login === undefined || !sameSecret(caller.login.password, user.password)) {
      this.#state().wrongPasswords[name] = [...wrong, now];
      return refuse('The username or password is wrong.');
    }
    const { project } = asked.data.auth.scope;
    const isOwn = 'id' in project ? project.id === caller.owner : this.#regionsOf(caller).includes(project.name);
    if (!isOwn) return refuse('Could not find the project of the scope.');

    // As long as real ones, and of their alphabet.
    const token = `MII${Buffer.from(this.#secret('token').repeat(12)).toString('base64')}`;
    const endsAt = now + this.#tokenMs;
    this.#state().tokens[hash(token)] = { account: caller.account, endsAt, isRevoked: false };
    count(truth.logins, caller.account);
    this.#store.save();
    return {
      status: 201,
      headers: { 'X-Subject-Token': token },
      body: {
        token: {
          methods: ['password'],
          issued_at: microseconds(now),
          expires_at: microseconds(endsAt),
          project: { id: caller.owner, name: 'name' in project ? project.name : (this.#regionsOf(caller)[0] ?? '') },
          user: { name: user.name, domain: { name: user.domain.name } },
        },
      },
    };
  }

  #projects(request: SignedRequest, caller: SimulatedCredentials): Reply {
    const { name } = Object.fromEntries(queryPairs(request.query));
    const regions = this.#regionsOf(caller).filter((region) => name === undefined || region === name);
    return {
      status: 200,
      body: {
        links: { self: 'https://iam.myhuaweicloud.com/v3/projects' },
        projects: regions.map((region) => ({ id: caller.owner, name: region, enabled: true, is_domain: false })),
      },
    };
  }

  #temporaryKeys(request: SignedRequest, caller: SimulatedCredentials): Reply {
    const asked = temporaryKeysBody.safeParse(parse(request.body));
    if (!asked.success) return failure(400, `The request body is invalid: ${asked.error.issues[0]?.path.join('.')}`);
    const endsAt = this.#clock.now() + asked.data.auth.identity.token.duration_seconds * 1000;
    const accessKeyId = `HST${this.#secret('access key').slice(0, 17).toUpperCase()}`;
    const keys = {
      ...caller,
      accessKeyId,
      secret: this.#secret('secret key'),
      securityToken: `ggpjb${this.#secret('security token').repeat(4)}`,
    };
    this.#state().temporaryKeys.push({ keys, endsAt });
    this.#store.save();
    return {
      status: 201,
      body: {
        credential: {
          access: keys.accessKeyId,
          secret: keys.secret,
          securitytoken: keys.securityToken,
          expires_at: microseconds(endsAt),
        },
      },
    };
  }

  #known(verify: () => Verdict, answer: (caller: SimulatedCredentials) => Reply): Reply {
    const verdict = verify();
    if (verdict.ok) return answer(verdict.credentials);
    count(this.#store.state.truth.signatureFailures, verdict.code);
    return { status: verdict.status, body: { error_code: verdict.code, error_msg: verdict.message } };
  }

  /** A project is named like its region, and an owner here has one of them. */
  #regionsOf({ owner }: SimulatedCredentials): string[] {
    const regions = this.#store.state.resources
      .filter((resource) => resource.owner === owner)
      .map(({ region }) => region);
    return [...new Set(regions)];
  }

  /** 64 characters that nobody else has. */
  #secret(purpose: string): string {
    return hash(newUuid(this.#store, purpose));
  }

  #state(): IamState {
    this.#store.state.iam ??= { tokens: {}, temporaryKeys: [], wrongPasswords: {} };
    return this.#store.state.iam;
  }
}

/** IAM's own envelope; the gateways' is another. */
function failure(status: number, message: string): Reply {
  return { status, body: { error: { code: status, message, title: status === 400 ? 'Bad Request' : 'Unauthorized' } } };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return null;
  }
}

/** `2026-11-21T05:26:00.000000Z` */
function microseconds(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
