/** From a method and a path to a service's route. */
import { queryPairs, type SignedRequest } from './signatures/request.js';
import type { Route, SimulatedService } from './service.js';

export interface Routed {
  readonly service: SimulatedService;
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}

/** @throws URIError for a malformed escape */
export function findRoute(services: readonly SimulatedService[], request: SignedRequest): Routed | null {
  const segments = request.path.split('/').map((segment) => decodeURIComponent(segment));
  const query = Object.fromEntries(queryPairs(request.query));
  for (const service of services) {
    for (const route of service.routes) {
      if (route.method !== request.method) continue;
      if (!Object.entries(route.query ?? {}).every(([name, value]) => query[name] === value)) continue;
      const params = match(route.path.split('/'), segments);
      if (params !== null) return { service, route, params, query };
    }
  }
  return null;
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (part.startsWith('{')) {
      if (segment === '') return null;
      params[part.slice(1, -1)] = segment;
    } else if (part !== segment) {
      return null;
    }
  }
  return params;
}
