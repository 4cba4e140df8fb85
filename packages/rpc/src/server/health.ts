import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";

/** Readiness probe: true if the process can do its work now. Called for every health check; must bound its own time. */
export type Readiness = () => Promise<boolean>;

/** Service name of the liveness check, by which an orchestrator decides on a restart: the process itself, without its dependencies. */
const LIVENESS = "liveness";

/**
 * Implements the standard gRPC health service: readiness of the whole process (`service` empty), and `liveness`, which is SERVING
 * as long as the process answers. `Watch` is not implemented: clients poll.
 */
export function healthService(ready: Readiness): Partial<ServiceImpl<typeof Health>> {
  return {
    async check({ service }) {
      if (service === LIVENESS) return { status: Status.SERVING };
      if (service !== "") return { status: Status.SERVICE_UNKNOWN };
      return { status: (await ready()) ? Status.SERVING : Status.NOT_SERVING };
    },
  };
}

export function healthRoutes(ready: Readiness): (router: ConnectRouter) => void {
  return (router) => router.service(Health, healthService(ready));
}
