import type { Clock } from "@routeplane/domain";
import type { Route } from "./router.ts";

/** Something without which no request can be served, unless it is optional. */
export interface Dependency {
  readonly name: string;
  /** Requests are served without it; its state is shown all the same. */
  readonly optional?: boolean;
  /** Bounded in time; never throws. */
  isReachable(): Promise<boolean>;
}

/** Health checks may come from many sides at once: they share one look within this time. */
const FRESH_MS = 500;

/** `GET /healthz`: 200 once requests can be served, else 503 and which dependencies are missing. Needs no credential. */
export function healthRoute(dependencies: readonly Dependency[], clock: Clock): Route {
  let last: { readonly at: number; readonly down: Promise<readonly string[]> } | undefined;
  const down = (): Promise<readonly string[]> => {
    if (last === undefined || clock() - last.at > FRESH_MS) last = { at: clock(), down: findDown(dependencies) };
    return last.down;
  };
  return {
    method: "GET",
    path: "/healthz",
    reaches: "gateway",
    async handle(exchange) {
      const missing = await down();
      const states = dependencies.map(({ name }) => [name, missing.includes(name) ? "unreachable" : "ok"] as const);
      const serving = dependencies.every(({ name, optional = false }) => optional || !missing.includes(name));
      const body = { status: serving ? "ok" : "unavailable", dependencies: Object.fromEntries(states) };
      await exchange.sendJson(serving ? 200 : 503, body);
    },
  };
}

async function findDown(dependencies: readonly Dependency[]): Promise<readonly string[]> {
  const reachable = await Promise.all(dependencies.map((dependency) => dependency.isReachable()));
  return dependencies.filter((_, index) => !reachable[index]).map(({ name }) => name);
}
