import { permits } from "@routeplane/credentials";
import { DomainError } from "@routeplane/domain";
import { INFERENCE_SCOPE } from "../request/credential.ts";
import type { Caller } from "../ports/key-verifier.ts";
import type { CancelReason, Reply } from "../ports/reply.ts";
import { dependencyDown, Refusal, upstreamFailed } from "../errors/refusal.ts";

/** Credential listener of a running request: cancels it if its key may not make it any more. @param result of verifying the key */
export function cancelUnlessPermitted(reply: Reply, result: Caller | DomainError): void {
  if (result instanceof DomainError) reply.cancel(reasonOf(result));
  else if (result.kind !== "key" || !permits(result.scopes, INFERENCE_SCOPE)) reply.cancel("insufficient_scope");
}

function reasonOf({ code, reason }: DomainError): CancelReason {
  if (code === "unavailable") return "dependency_unavailable";
  return reason === "CREDENTIAL_EXPIRED" ? "api_key_expired" : "api_key_revoked";
}

/** Reason for which a request was cancelled; only once its signal is aborted. */
export function cancelReasonOf(reply: Reply): CancelReason {
  return reply.signal.reason as CancelReason;
}

/** Refusal that the client of a cancelled request gets: as the answer, or as the last event of a stream that has begun. */
export function refusalOfCancellation(reason: CancelReason): Refusal {
  switch (reason) {
    case "api_key_revoked": {
      const message = "the API key was revoked, or its namespace suspended, while this request was running";
      return new Refusal(reason, message);
    }
    case "api_key_expired":
      return new Refusal(reason, "the API key expired while this request was running");
    case "insufficient_scope": {
      const message = `the API key lost the scope ${INFERENCE_SCOPE} while this request was running`;
      return new Refusal(reason, message);
    }
    case "dependency_unavailable":
      return dependencyDown("auth");
    case "too_long":
      return upstreamFailed("upstream_timeout", "the upstream took longer than the gateway waits for it");
    case "reservation_exhausted": {
      const message =
        "the upstream sent more output than the request allows, and its reservation is used up: the answer was ended";
      return new Refusal(reason, message);
    }
    case "not_durable":
      return new Refusal(reason, "the admission of this request could not be recorded; try again");
    case "client_gone":
    case "stopping": {
      const message = "the gateway is stopping; try again";
      return new Refusal(reason, message);
    }
  }
}
