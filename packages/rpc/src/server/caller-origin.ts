import type { Origin } from "@routeplane/runtime";
import type { Principal } from "../principal.ts";
import type { CallOrigin } from "./call-origin.ts";

/** Origin of what a call changes, as the audit log records it: the caller, request id and client address. */
export class CallerOrigin implements Origin {
  readonly actorType: Origin["actorType"];
  readonly actorId: string;
  readonly accountId: string;
  readonly requestId: string;
  readonly #call: CallOrigin;

  constructor(principal: Principal, call: CallOrigin) {
    const { actorType, actorId, accountId } = actorOf(principal);
    this.actorType = actorType;
    this.actorId = actorId;
    this.accountId = accountId;
    this.requestId = call.requestId;
    this.#call = call;
  }

  get address(): string {
    return this.#call.address;
  }

  toJSON(): Origin {
    const { actorType, actorId, accountId, requestId, address } = this;
    return { actorType, actorId, accountId, requestId, address };
  }
}

const INTERNAL = { actorType: "service", actorId: "", accountId: "" } as const;

function actorOf(principal: Principal): Pick<Origin, "actorType" | "actorId" | "accountId"> {
  if ("sessionId" in principal && principal.sessionId !== undefined) {
    return { actorType: "session", actorId: principal.sessionId, accountId: principal.accountId ?? "" };
  }
  switch (principal.kind) {
    case "key":
      return { actorType: "api_key", actorId: principal.keyId, accountId: principal.accountId };
    case "operator":
      return { actorType: "operator", actorId: principal.operatorId, accountId: principal.accountId ?? "" };
    case "service":
      return { actorType: "service", actorId: principal.serviceCredentialId, accountId: "" };
    case "internal":
      return INTERNAL;
  }
}
