import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { TemporalSetupError } from './errors.js';

export const LOOPBACK = '127.0.0.1';

/** As many different free ports on loopback, right now: nothing keeps them free until they are used. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(close));
  return ports;
}

/** @throws TemporalSetupError when `port` on loopback cannot be listened on; `what` names its use. */
export async function assertPortFree(port: number, what: string): Promise<void> {
  try {
    await close(await listen(port));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new TemporalSetupError(
      code === 'EADDRINUSE'
        ? `Port ${port} on ${LOOPBACK}, wanted for ${what}, is taken`
        : `Port ${port} on ${LOOPBACK}, wanted for ${what}, cannot be used: ${code}`,
      `stop what listens there, choose another port, or set TEMPORAL_ADDRESS to use a server that already runs`,
    );
  }
}

/** Whether something listens at host:port. */
export function accepts(address: string): Promise<boolean> {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), timeout: 2_000 });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(false));
    socket.once('error', () => settle(false));
  });
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, LOOPBACK, () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
