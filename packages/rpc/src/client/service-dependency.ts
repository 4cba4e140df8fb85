import { createClient, type Transport } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import type { Dependency } from "@routeplane/runtime";
import { DEPENDENCIES } from "../server/health.ts";

const CHECK_TIMEOUT_MS = 1_000;

/**
 * A service of the node as a dependency: reachable while it says that it can answer calls now, with its own dependencies. A service of an
 * earlier release, without this check, is reachable while it answers.
 */
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
      client.check({ service: DEPENDENCIES }, { timeoutMs: CHECK_TIMEOUT_MS }).then(
        ({ status }) => status === Status.SERVING || status === Status.SERVICE_UNKNOWN,
        () => false,
      ),
  };
}
