import type { Interceptor } from "@connectrpc/connect";
import { onBehalfOf, type Origin } from "@routeplane/runtime";
import { type Principal, principalKey } from "../principal.ts";
import { callOriginOf } from "./call-origin.ts";

/** Lets everything that the call changes be laid to whoever calls. */
export function attribute(): Interceptor {
  return (next) => (request) => {
    const principal = request.contextValues.get(principalKey);
    if (principal === undefined) return next(request);
    return onBehalfOf({ ...actorOf(principal), ...callOriginOf(request.contextValues) }, () => next(request));
  };
}

function actorOf(principal: Principal): Pick<Origin, "actorType" | "actorId" | "accountId"> {
  switch (principal.kind) {
    case "key":
      return { actorType: "api_key", actorId: principal.keyId, accountId: principal.accountId };
    case "operator":
      return { actorType: "operator", actorId: principal.operatorId, accountId: principal.accountId ?? "" };
    case "service":
      return { actorType: "service", actorId: "", accountId: "" };
  }
}
