import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";

/** Whether the process can do its work now. Asked at every check; bounded in time by whoever provides it. */
export type Readiness = () => Promise<boolean>;

/** What an orchestrator asks about when it decides on a restart: the process itself, whatever it depends on. */
const LIVENESS = "liveness";

/**
 * The standard gRPC health service: readiness for the whole process (`service` empty), and `liveness`, which is served as
 * long as the process answers. Watch is left to pollers.
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
