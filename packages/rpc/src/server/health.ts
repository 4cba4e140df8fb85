import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { DomainError } from "@routeplane/domain";
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
 * Implements the standard gRPC health service: readiness of the whole process (`service` empty, or one that this port serves); `liveness`,
 * which is SERVING as long as the process answers; and `dependencies`. `Watch` is not implemented: clients poll.
 *
 * @param serves tells whether the port serves a service of this name; any other is NOT_FOUND
 */
export function healthService(
  { readiness, dependencies }: HealthOptions,
  serves: (typeName: string) => boolean,
): Partial<ServiceImpl<typeof Health>> {
  const statusOf = (isServing: boolean) => ({ status: isServing ? Status.SERVING : Status.NOT_SERVING });
  return {
    async check({ service }) {
      if (service === LIVENESS) return { status: Status.SERVING };
      if (service === DEPENDENCIES) return statusOf(readiness.isReady && (await dependencies.areReachable()));
      if (service === "" || serves(service)) return statusOf(readiness.isReady);
      throw new DomainError("not_found", "RESOURCE_NOT_FOUND", "this port serves no service of this name");
    },
  };
}

export function healthRoutes(options: HealthOptions): (router: ConnectRouter) => void {
  return (router) => {
    const serves = (name: string): boolean => router.handlers.some(({ service }) => service.typeName === name);
    router.service(Health, healthService(options, serves));
  };
}
