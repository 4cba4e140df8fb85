import { createClient, type Transport } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import type { Dependency } from "../handlers/health.ts";

const TIMEOUT_MS = 1_000;

/** A service of the node, asked through the standard health service whether it can do its work. */
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
      client.check({}, { timeoutMs: TIMEOUT_MS }).then(
        ({ status }) => status === Status.SERVING,
        () => false,
      ),
  };
}
