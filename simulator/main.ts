/** The simulator as a process of its own: what `uplift simulator` runs. */
import { startSimulator, type Simulator, type SimulatorOptions } from './server.js';

/**
 * Starts a simulator and tells its URL on stderr, in one line. It runs until `close`.
 * @throws Error when the port is taken or the state file is none
 */
export async function runSimulator(options: SimulatorOptions): Promise<Simulator> {
  const simulator = await startSimulator(options);
  const families = Object.keys(simulator.endpoints).join(', ');
  const resources = simulator.inventory.now().length;
  process.stderr.write(`simulator: ${simulator.url} plays ${families} with ${resources} resources\n`);
  return simulator;
}
