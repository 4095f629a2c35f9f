/** Sessions: accounts, their credentials, endpoints and limits, opened on first use. */
import { endpointObjection, type Account } from '../../plan/accounts.js';
import type { Clock } from '../clock.js';
import { openCredentials } from '../credentials.js';
import { abortable, ALONE, Pacer, type Turn } from '../limiter.js';
import type { Transport } from '../transport.js';
import { Authenticator } from './authenticator.js';
import type { Cloud, Identity } from './cloud.js';
import { AccountError } from './errors.js';
import { CLOUDS } from './index.js';
import type { CloudApi, CloudReader, MutatingRequest } from './port.js';
import { Session, type SendBounds, type Sent, type SessionParts } from './session.js';

/** The only thing that can change something at a cloud. `activities/submit.ts` alone may hold one (lint enforces it). */
export interface CloudSender {
  /** Sends once; never throws for anything the network or the cloud does. */
  send(request: MutatingRequest, bounds: SendBounds): Promise<Sent>;
}

export interface Sessions {
  /**
   * Waits for this account's next turn to submit, and sends nothing: so that submits come at the rate at which they can
   * go out, instead of all at once and mostly in vain.
   */
  admit(account: string, signal?: AbortSignal): Promise<void>;
  /**
   * @throws AccountError for an account or credentials that cannot be used, CloudError for a project id that could not
   *   be looked up.
   */
  reader(api: CloudApi, account: string, signal?: AbortSignal): Promise<CloudReader>;
  /** @throws as `reader` */
  sender(api: CloudApi, account: string): Promise<CloudSender>;
}

export interface SessionOptions {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Multiplies the pauses after a throttled answer: 1 is production, as in `Timing.scale`. */
  readonly scale?: number;
  /** This process's turn among those that share the accounts' rates; left out: alone. */
  readonly turn?: () => Turn;
  /** One line, for operators. */
  readonly log?: (line: string) => void;
}

/** Opens accounts on first use and keeps their rates for as long as it lives: one per process. */
export function openSessions(options: SessionOptions): Sessions {
  const { clock, transport, scale = 1 } = options;
  const log = options.log ?? (() => {});
  const credentials = openCredentials(options.env, clock);
  const pacers = new Map<string, Pacer>();
  const authenticators = new Map<string, Authenticator>();
  /** By account; only the ids that had to be looked up. */
  const projects = new Map<string, Promise<string>>();

  /** One per account and use; submits are admitted at the rate at which they may be sent. */
  const pacer = (account: Account, use: 'reads' | 'writes' | 'admissions', pause: Cloud['throttlePause']): Pacer => {
    const key = `${use} ${account.name}`;
    const found =
      pacers.get(key) ??
      new Pacer({
        clock,
        rate: use === 'reads' ? account.rates.reads : account.rates.writes,
        turn: options.turn ?? (() => ALONE),
        firstPauseMs: pause.firstMs * scale,
        maxPauseMs: pause.maxMs * scale,
      });
    pacers.set(key, found);
    return found;
  };

  const open = async (api: CloudApi, name: string, signal?: AbortSignal): Promise<Session> => {
    const account = options.accounts.get(name);
    if (account === undefined) {
      const known = [...options.accounts.keys()].join(', ') || 'none';
      throw new AccountError(`account ${name} is not in the accounts file (it has ${known})`);
    }
    const cloud = CLOUDS.find((one) => one.name === account.cloud);
    if (cloud === undefined || account.cloud !== api.cloud) {
      throw new AccountError(
        `account ${name} is of cloud ${account.cloud}, and ${api.service} is of ${api.cloud} (name another account)`,
      );
    }
    const secret = () => credentials.resolve(account, cloud.variables);
    // Fails here and now rather than in the middle of a step.
    secret();
    const authenticator =
      authenticators.get(name) ??
      new Authenticator({
        account,
        cloud,
        clock,
        transport,
        scale,
        log,
        credentials: secret,
        identityOrigin: ({ family }) => originOf(cloud, family, account),
      });
    authenticators.set(name, authenticator);
    const parts = {
      account,
      clock,
      transport,
      authenticator,
      log,
      reads: pacer(account, 'reads', cloud.throttlePause),
      writes: pacer(account, 'writes', cloud.throttlePause),
    };
    const session: Omit<SessionParts, 'projectId'> = {
      ...parts,
      classify: (error) => api.classify(error),
      origin: originOf(cloud, api.family, account),
    };
    if (account.projectId !== '' || cloud.identity === undefined) {
      return new Session({ ...session, projectId: account.projectId });
    }
    const { identity } = cloud;
    const asking = new Session({
      ...parts,
      classify: (error) => identity.classify(error),
      origin: originOf(cloud, identity.family, account),
      projectId: '',
    });
    const found = projects.get(name) ?? projectNamed(account, identity, asking);
    projects.set(name, found);
    try {
      return new Session({ ...session, projectId: await abortable(found, signal) });
    } catch (error) {
      // Of a look-up that was only not waited for, the next caller has the use.
      if (signal?.aborted !== true && projects.get(name) === found) projects.delete(name);
      throw error;
    }
  };

  return {
    async admit(name, signal) {
      const account = options.accounts.get(name);
      if (account === undefined) return;
      const admissions = pacer(account, 'admissions', { firstMs: 0, maxMs: 0 });
      await admissions.take(signal === undefined ? {} : { signal });
    },
    async reader(api, account, signal) {
      const session = await open(api, account, signal);
      return {
        region: session.account.region,
        projectId: session.projectId,
        now: () => clock.now(),
        read: async (request, schema) => (await session.read(request, schema, signal)).body,
        readWithHeaders: (request, schema) => session.read(request, schema, signal),
      };
    },
    async sender(api, account) {
      const session = await open(api, account);
      return { send: (request, bounds) => session.send(request, bounds) };
    },
  };
}

/** @throws AccountError naming the regions there are, or what is wrong with the override. */
function originOf(cloud: Cloud, family: string, account: Account): string {
  const override = account.endpoints[family];
  if (override !== undefined) {
    const objection = endpointObjection(override, account.allowPlainHttp);
    if (objection === null) return new URL(override).origin;
    throw new AccountError(
      `account ${account.name}: its endpoint for ${family} ${objection.message} (${objection.remedy})`,
    );
  }
  const endpoint = cloud.endpoint(family, account.region);
  if ('url' in endpoint) return endpoint.url;
  throw new AccountError(`account ${account.name}: ${endpoint.problem} (or set its endpoints.${family})`);
}

/** @throws AccountError unless there is exactly one */
async function projectNamed({ name, region }: Account, identity: Identity, session: Session): Promise<string> {
  const read: CloudReader['read'] = async (request, schema) => (await session.read(request, schema, undefined)).body;
  const ids = await identity.projectsNamed(read, region);
  const [id] = ids;
  if (id !== undefined && ids.length === 1) return id;
  throw new AccountError(
    `account ${name}: ${ids.length === 0 ? 'no project is' : `${ids.length} projects are`} named ${region} ` +
      '(set its projectId in the accounts file)',
  );
}
