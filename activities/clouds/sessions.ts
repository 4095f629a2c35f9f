/** Sessions: accounts, their credentials, endpoints and limits, opened on first use. */
import { endpointObjection, type Account } from '../../plan/accounts.js';
import { Circuit } from '../circuit.js';
import { trusting } from '../authorities.js';
import type { Clock } from '../clock.js';
import { openCredentials } from '../credentials.js';
import { abortable, ALONE, Pacer, Pause, type TakeOptions, type Turn } from '../limiter.js';
import type { Transport } from '../transport.js';
import { Authenticator } from './authenticator.js';
import { CloudTime, type ClockOffset } from './cloud-time.js';
import type { Cloud, Identity } from './cloud.js';
import { AccountError } from './errors.js';
import { CLOUDS } from './index.js';
import type { CloudApi, CloudReader, MutatingRequest } from './port.js';
import { Session, type SendBounds, type Sent, type SessionParts } from './session.js';

/** The only thing that can change something at a cloud. `activities/submit.ts` alone may hold one (lint enforces it). */
export interface CloudSender {
  /** As `CloudReader.projectId`. */
  readonly projectId: string;
  /** Sends once; never throws for anything the network or the cloud does. */
  send(request: MutatingRequest, bounds: SendBounds): Promise<Sent>;
  /** By how much the cloud's clock is ahead of ours, as its latest answers told; `null` when they did not. */
  clockOffset(): ClockOffset | null;
}

/** How an account's reads wait for their turns. */
export type ReadOptions = Pick<TakeOptions, 'signal' | 'urgent'>;

export interface Sessions {
  /**
   * Waits for this account's next turn to submit, and sends nothing: so that submits come at the rate at which they can
   * go out, instead of all at once and mostly in vain. `waiting` is told why it may take longer than that.
   */
  admit(
    api: CloudApi,
    account: string,
    options?: { readonly signal?: AbortSignal; readonly waiting?: (reason: string) => void },
  ): Promise<void>;
  /**
   * @throws AccountError for an account or credentials that cannot be used, CloudError for a project id that could not
   *   be looked up.
   */
  reader(api: CloudApi, account: string, options?: ReadOptions): Promise<CloudReader>;
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
  /** This process's turn among those that share an account's rates; left out: alone. */
  readonly turn?: (account: Account) => Turn;
  /** One line, for operators, and the account that it is about. */
  readonly log?: (line: string, account: string) => void;
  /** A cloud asked for fewer calls of an account. */
  readonly throttled?: (account: string) => void;
}

/** Opens accounts on first use and keeps their rates for as long as it lives: one per process. */
export function openSessions(options: SessionOptions): Sessions {
  const { clock, scale = 1 } = options;
  const logOf = (account: string) => (line: string) => options.log?.(line, account);
  const credentials = openCredentials(options.env, clock);
  const pacers = new Map<string, Pacer>();
  const pauses = new Map<string, Pause>();
  const circuits = new Map<string, Circuit>();
  const cloudTimes = new Map<string, CloudTime>();
  const authenticators = new Map<string, Authenticator>();
  /** By account; what it trusts is read when it is first used. */
  const transports = new Map<string, Transport>();
  /** By account; only the ids that had to be looked up. */
  const projects = new Map<string, Promise<string>>();

  /** One per account: whatever is throttled, all its calls pause. */
  const pauseOf = (account: Account, { firstMs, maxMs }: Cloud['throttlePause']): Pause =>
    kept(pauses, account.name, () => new Pause({ clock, firstMs: firstMs * scale, maxMs: maxMs * scale }));

  /** One per account and use; submits are admitted at the rate at which they may be sent. */
  const pacerOf = (account: Account, use: 'reads' | 'writes' | 'admissions', pause: Pause): Pacer =>
    kept(pacers, `${use} ${account.name}`, () => {
      const rate = use === 'reads' ? account.rates.reads : account.rates.writes;
      return new Pacer({ clock, rate, pause, turn: () => options.turn?.(account) ?? ALONE });
    });

  const circuitOf = (account: Account, { family }: CloudApi): Circuit => {
    const name = `account ${account.name}, ${family}`;
    return kept(circuits, name, () => new Circuit({ clock, name, scale, log: logOf(account.name) }));
  };

  const cloudTimeOf = ({ name }: Account, { family }: CloudApi): CloudTime =>
    kept(cloudTimes, `${name} ${family}`, () => new CloudTime(clock));

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
    const transport = kept(transports, name, () => trusting(options.transport, account));
    const secret = () => credentials.resolve(account, cloud.variables);
    // Fails here and now rather than in the middle of a step.
    secret();
    const authenticator = kept(
      authenticators,
      name,
      () =>
        new Authenticator({
          account,
          cloud,
          clock,
          transport,
          scale,
          log: logOf(name),
          credentials: secret,
          identityOrigin: ({ family }) => originOf(cloud, family, account),
        }),
    );
    const pause = pauseOf(account, cloud.throttlePause);
    const parts = {
      account,
      clock,
      transport,
      authenticator,
      log: logOf(name),
      throttled: () => options.throttled?.(name),
      pause,
      reads: pacerOf(account, 'reads', pause),
      writes: pacerOf(account, 'writes', pause),
      circuit: circuitOf(account, api),
      cloudTime: cloudTimeOf(account, api),
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
    async admit(api, name, { signal, waiting = () => {} } = {}) {
      const account = options.accounts.get(name);
      const cloud = CLOUDS.find((one) => one.name === account?.cloud);
      if (account === undefined || cloud === undefined) return;
      const circuit = circuitOf(account, api);
      for (let blocked = circuit.blocked(); blocked !== null; blocked = circuit.blocked()) {
        waiting(blocked.reason);
        await clock.sleep(blocked.forMs, signal);
      }
      waiting(`waits for the write rate of account ${name}`);
      await pacerOf(account, 'admissions', pauseOf(account, cloud.throttlePause)).take({ signal });
    },
    async reader(api, account, how = {}) {
      const session = await open(api, account, how.signal);
      return {
        region: session.account.region,
        projectId: session.projectId,
        now: () => clock.now(),
        read: async (request, schema) => (await session.read(request, schema, how)).body,
        readWithHeaders: (request, schema) => session.read(request, schema, how),
      };
    },
    async sender(api, account) {
      const session = await open(api, account);
      return {
        projectId: session.projectId,
        send: (request, bounds) => session.send(request, bounds),
        clockOffset: () => session.clockOffset(),
      };
    },
  };
}

/** The value of `key`, made when it is asked for first. */
function kept<T>(values: Map<string, T>, key: string, make: () => T): T {
  const value = values.get(key) ?? make();
  values.set(key, value);
  return value;
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
  const read: CloudReader['read'] = async (request, schema) => (await session.read(request, schema)).body;
  const ids = await identity.projectsNamed(read, region);
  const [id] = ids;
  if (id !== undefined && ids.length === 1) return id;
  throw new AccountError(
    `account ${name}: ${ids.length === 0 ? 'no project is' : `${ids.length} projects are`} named ${region} ` +
      '(set its projectId in the accounts file)',
  );
}
