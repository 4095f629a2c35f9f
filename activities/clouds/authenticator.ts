/** Who an account is, proven call by call: keys sign each one, a token goes along with it. */
import type { Account } from '../../plan/accounts.js';
import { iso, type Clock } from '../clock.js';
import { Credentials, type Login, type Secret } from '../credentials.js';
import { TransportError, type Transport } from '../transport.js';
import type { Cloud, Identity, Issued, UnsignedRequest } from './cloud.js';
import { encodePath, encodeQuery } from './encode.js';
import { errorOf, requestIdOf, redacted } from './envelopes.js';
import { AccountError, CloudError } from './errors.js';
import type { CloudResponse, ErrorClass } from './port.js';

/** What one call proves its account's identity by. */
export interface Proof {
  /** Where it comes from: keys that sign, a login's token, or a token that was made elsewhere. */
  readonly kind: Secret['kind'];
  readonly token: Credentials | null;
  /** All headers to send. */
  headers(request: UnsignedRequest): Record<string, string>;
  /** `text` without what this proof was made of. */
  redact(text: string): string;
}

export interface AuthenticatorParts {
  readonly account: Account;
  readonly cloud: Cloud;
  readonly clock: Clock;
  readonly transport: Pick<Transport, 'read'>;
  /** The account's secret as it is now; throws AccountError. */
  readonly credentials: () => Credentials;
  /** Base URL of the cloud's identity service. */
  readonly identityOrigin: (identity: Identity) => string;
  /** As `SessionOptions.scale`. */
  readonly scale: number;
  readonly log: (line: string) => void;
}

/** A token that a login brought. */
interface Held {
  readonly token: Credentials;
  /** What it was given out for: another password needs another token. */
  readonly login: Credentials;
  /** Epoch ms. */
  readonly givenAt: number;
  readonly renewAt: number;
  readonly endsAt: number;
  /** Given out because the cloud refused the one before. */
  readonly isReplacement: boolean;
}

interface FailedLogin {
  readonly login: Credentials;
  readonly error: AccountError | CloudError;
  /** Epoch ms until which nobody tries again. */
  readonly until: number;
}

/** A token is renewed this long before its end, or a tenth of its life: a call must not outlive it. */
const RENEW_AHEAD_MS = 10 * 60_000;
/** A replacement that is refused this soon is no better than the next one would be. */
const REPLACEMENT_MS = 60_000;
/** After a login that found no answer. */
const RETRY_MS = 10_000;
/** After a login that was refused: a few wrong passwords within the hour lock the user for everyone. */
const REFUSED_PAUSE_MS = 3_600_000;

/** One account's proofs. All callers share its token: one login, and one renewal, serves all who ask meanwhile. */
export class Authenticator {
  private readonly parts: AuthenticatorParts;
  private held: Held | null = null;
  private failed: FailedLogin | null = null;
  private underWay: Promise<Held> | null = null;
  private mustReplace = false;

  constructor(parts: AuthenticatorParts) {
    this.parts = parts;
  }

  /** @throws AccountError for what a person has to mend, CloudError for a login that may go better next time. */
  async prove(): Promise<Proof> {
    const { cloud, clock } = this.parts;
    const credentials = this.parts.credentials();
    const secret = credentials.reveal();
    switch (secret.kind) {
      case 'keys':
        return {
          kind: 'keys',
          token: null,
          headers: (request) => cloud.sign(request, secret.keys, clock.now()),
          redact: (text) => credentials.redact(text),
        };
      case 'token':
        return this.proofBy('token', credentials, credentials);
      case 'login': {
        const { token } = await this.tokenFor(credentials, secret.login);
        return this.proofBy('login', token, credentials);
      }
    }
  }

  /**
   * The cloud asks for another token, or signature, than this proof's.
   *
   * @returns whether the next proof may do better
   */
  refused(proof: Proof): boolean {
    const { account, log } = this.parts;
    // A token that was made elsewhere may have been exchanged there; another caller may have renewed ours.
    if (this.held === null || this.held.token !== proof.token) return true;
    if (this.isFreshReplacement(this.held)) return false;
    log(`account ${account.name}: its token of ${iso(this.held.givenAt)} is not accepted any more and is renewed`);
    this.held = null;
    this.mustReplace = true;
    return true;
  }

  /** Whether a read that was refused with this code may pass when it is signed anew. */
  signsAnew({ kind }: Proof, code: string | null): boolean {
    return kind === 'keys' && code !== null && this.parts.cloud.signedAnew?.includes(code) === true;
  }

  /** What to tell a person about a proof that was refused as one to be renewed; empty where renewing is the answer. */
  hint(proof: Proof): string {
    const { account, clock } = this.parts;
    if (proof.kind === 'token') {
      return `; account ${account.name} has a ready-made token, which cannot be renewed from here (put a new one in its place)`;
    }
    if (proof.kind !== 'login' || this.held?.token !== proof.token || !this.isFreshReplacement(this.held)) return '';
    const age = Math.round((clock.now() - this.held.givenAt) / 1000);
    return `; the token was renewed ${age} s ago, so another would be refused as well (check region and projectId of account ${account.name})`;
  }

  private isFreshReplacement({ isReplacement, givenAt }: Held): boolean {
    return isReplacement && this.parts.clock.now() - givenAt < REPLACEMENT_MS * this.parts.scale;
  }

  private proofBy(kind: Proof['kind'], token: Credentials, credentials: Credentials): Proof {
    const identity = this.identity();
    const secret = token.reveal();
    if (secret.kind !== 'token') throw new TypeError('a token is needed here');
    return {
      kind,
      token,
      headers: (request) => identity.withToken(request, secret.token),
      redact: (text) => credentials.redact(token.redact(text)),
    };
  }

  private identity(): Identity {
    const { cloud, account } = this.parts;
    if (cloud.identity !== undefined) return cloud.identity;
    throw new AccountError(`account ${account.name}: ${cloud.name} takes access keys only (give it access keys)`);
  }

  private async tokenFor(credentials: Credentials, login: Login): Promise<Held> {
    const { clock } = this.parts;
    const held = this.held?.login.equals(credentials) === true ? this.held : null;
    if (held !== null && clock.now() < held.renewAt) return held;
    try {
      const failed = this.failed?.login.equals(credentials) === true ? this.failed : null;
      if (failed !== null && clock.now() < failed.until) throw failed.error;
      this.underWay ??= this.logIn(credentials, login).finally(() => {
        this.underWay = null;
      });
      return await this.underWay;
    } catch (error) {
      // The old one will do to its end.
      if (held !== null && this.held === held && clock.now() < held.endsAt) return held;
      throw error;
    }
  }

  private async logIn(credentials: Credentials, login: Login): Promise<Held> {
    const { clock, log } = this.parts;
    const givenAt = clock.now();
    try {
      const { token, lifetimeMs } = await this.askForToken(credentials, login);
      const endsAt = givenAt + lifetimeMs;
      this.held = {
        token: new Credentials({ kind: 'token', token }),
        login: credentials,
        givenAt,
        endsAt,
        renewAt: endsAt - Math.min(RENEW_AHEAD_MS, lifetimeMs / 10),
        isReplacement: this.mustReplace,
      };
      this.failed = null;
      this.mustReplace = false;
      return this.held;
    } catch (error) {
      if (!(error instanceof AccountError || error instanceof CloudError)) throw error;
      const isRefused = error instanceof AccountError;
      if (isRefused) log(error.message);
      const until = clock.now() + (isRefused ? REFUSED_PAUSE_MS : RETRY_MS * this.parts.scale);
      this.failed = { login: credentials, error, until };
      throw error;
    }
  }

  /** @throws AccountError when it is refused, CloudError when that remains open. */
  private async askForToken(credentials: Credentials, login: Login): Promise<Issued> {
    const { account, transport, clock, identityOrigin } = this.parts;
    const identity = this.identity();
    const { path, query, body } = identity.login(login, account);
    const label = `POST ${encodePath(path)}`;
    const failure = (what: string, errorClass: ErrorClass, response: CloudResponse | null): CloudError =>
      new CloudError(`${label}: ${what}`, {
        errorClass,
        call: label,
        status: response?.status ?? null,
        code: null,
        requestId: response === null ? null : requestIdOf(response),
        sent: response !== null,
      });

    let response: CloudResponse;
    try {
      const exchange = await transport.read({
        method: 'POST',
        origin: identityOrigin(identity),
        path: `${encodePath(path)}?${encodeQuery(query)}`,
        headers: { accept: 'application/json', 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      response = redacted(exchange.response, credentials);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      throw failure(error.message, 'transient', null);
    }

    const { status } = response;
    const error = errorOf(response.json);
    if (status >= 200 && status < 300 && error === null) {
      const issued = identity.issued(response);
      if (issued !== null) return issued;
      throw failure(`HTTP ${status} without a token, or without its times`, 'transient', response);
    }
    const said = error === null ? '' : ` ${error.message}`;
    const errorClass = identity.classify({ status, code: error?.code ?? null, message: said });
    // Without a readable error it is something in between that answers: nothing is settled by that.
    if (error === null || errorClass === 'transient' || errorClass === 'throttled') {
      throw failure(`HTTP ${status}${said}`, errorClass === 'throttled' ? 'throttled' : 'transient', response);
    }
    throw new AccountError(
      `account ${account.name}: its login is refused: ${label}: HTTP ${status}${said}; no more logins until ` +
        `${iso(clock.now() + REFUSED_PAUSE_MS)}, since repeated ones would lock the user ` +
        '(correct user, password and domain where the worker gets them)',
    );
  }
}
