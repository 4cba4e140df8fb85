import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import type { Dependencies, Readiness } from "@routeplane/runtime";

export interface HealthOptions {
  readonly readiness: Pick<Readiness, "isReady">;
  readonly dependencies: Pick<Dependencies, "areReachable">;
}

/** Service name of the liveness check, by which an orchestrator decides on a restart: the process itself, without its dependencies. */
const LIVENESS = "liveness";
/** Service name of the check that tells a caller whether its calls can be answered now: readiness, and all dependencies. */
export const DEPENDENCIES = "dependencies";

/**
 * Implements the standard gRPC health service: readiness of the whole process (`service` empty); `liveness`, which is SERVING
 * as long as the process answers; and `dependencies`. `Watch` is not implemented: clients poll.
 */
export function healthService({ readiness, dependencies }: HealthOptions): Partial<ServiceImpl<typeof Health>> {
  const statusOf = (isServing: boolean) => ({ status: isServing ? Status.SERVING : Status.NOT_SERVING });
  return {
    async check({ service }) {
      if (service === "") return statusOf(readiness.isReady);
      if (service === LIVENESS) return { status: Status.SERVING };
      if (service === DEPENDENCIES) return statusOf(readiness.isReady && (await dependencies.areReachable()));
      return { status: Status.SERVICE_UNKNOWN };
    },
  };
}

export function healthRoutes(options: HealthOptions): (router: ConnectRouter) => void {
  return (router) => router.service(Health, healthService(options));
}
