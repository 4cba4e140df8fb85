import { parseServiceCredentials, SERVICE_CREDENTIALS_RULE, type ServiceCredentials } from "@routeplane/credentials";
import type { Environment } from "@routeplane/runtime";

/** Reads ROUTEPLANE_SERVICE_CREDENTIALS: the service credentials that a process accepts, as its file is now. */
export function readServiceCredentials(env: Environment): ServiceCredentials {
  const accepted = env.parsedSecret(
    "ROUTEPLANE_SERVICE_CREDENTIALS",
    SERVICE_CREDENTIALS_RULE,
    parseServiceCredentials,
  );
  return { callerOf: (token) => accepted.current.callerOf(token) };
}
