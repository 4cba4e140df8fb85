import { createClient, type Transport } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import type { Clock } from "@routeplane/domain";
import type { Route } from "./router.ts";

/** Dependency of the gateway. Without one that is not optional, no request can be served. */
export interface Dependency {
  readonly name: string;
  /** True if requests are served without it; `/healthz` shows its state all the same. False by default. */
  readonly optional?: boolean;
  /** Resolves within about a second; never rejects. */
  isReachable(): Promise<boolean>;
}

/** Time within which health checks share one result: they may come from many sides at once. */
const FRESH_MS = 500;
const CHECK_TIMEOUT_MS = 1_000;

/** A service of the node as a dependency: reachable while the standard health service says that it serves. */
export function serviceDependency(
  name: string,
  transport: Transport,
  { optional = false }: Pick<Dependency, "optional"> = {},
): Dependency {
  const client = createClient(Health, transport);
  return {
    name,
    optional,
    isReachable: () =>
      client.check({}, { timeoutMs: CHECK_TIMEOUT_MS }).then(
        ({ status }) => status === Status.SERVING,
        () => false,
      ),
  };
}

/** `GET /healthz`: 200 while requests can be served, else 503; the body has the state of each dependency. Needs no credential. */
export function healthRoute(dependencies: readonly Dependency[], clock: Clock): Route {
  let last: { readonly at: number; readonly missing: Promise<readonly string[]> } | undefined;
  const findMissing = (): Promise<readonly string[]> => {
    if (last === undefined || clock() - last.at > FRESH_MS) last = { at: clock(), missing: check(dependencies) };
    return last.missing;
  };
  return {
    method: "GET",
    path: "/healthz",
    reaches: "gateway",
    async handle(exchange) {
      const missing = await findMissing();
      const states = dependencies.map(({ name }) => [name, missing.includes(name) ? "unreachable" : "ok"] as const);
      const serving = dependencies.every(({ name, optional = false }) => optional || !missing.includes(name));
      const body = { status: serving ? "ok" : "unavailable", dependencies: Object.fromEntries(states) };
      await exchange.sendJson(serving ? 200 : 503, body);
    },
  };
}

/** Returns the names of the dependencies that do not answer. */
async function check(dependencies: readonly Dependency[]): Promise<readonly string[]> {
  const reachable = await Promise.all(dependencies.map((dependency) => dependency.isReachable()));
  return dependencies.filter((_, index) => !reachable[index]).map(({ name }) => name);
}
