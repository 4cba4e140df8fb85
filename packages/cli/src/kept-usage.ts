import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@routeplane/contracts/google-rpc";

/** Start of the usage that a node keeps, read from its refusal of an earlier range; undefined for any other error. */
export function keptFromOf(error: unknown): Date | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const [keptFrom] = error.findDetails(ErrorInfoSchema).flatMap(({ metadata }) => metadata["kept_from"] ?? []);
  return keptFrom === undefined ? undefined : new Date(keptFrom);
}
