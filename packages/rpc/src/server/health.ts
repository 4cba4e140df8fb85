import type { ConnectRouter } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";

/** Whether the process can do its work now. Asked at every check; bounded in time by whoever provides it. */
export type Readiness = () => Promise<boolean>;

/** The standard gRPC health service, for the whole process (`service` empty). Watch is left to pollers. */
export function healthRoutes(ready: Readiness): (router: ConnectRouter) => void {
  return (router) =>
    router.service(Health, {
      async check({ service }) {
        if (service !== "") return { status: Status.SERVICE_UNKNOWN };
        return { status: (await ready()) ? Status.SERVING : Status.NOT_SERVING };
      },
    });
}
