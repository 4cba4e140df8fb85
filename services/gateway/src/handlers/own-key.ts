import { DomainError } from "@routeplane/domain";
import type { TrustedProxies } from "@routeplane/runtime";
import { Refusal } from "../domain/errors/refusal.ts";
import type { VerifyKey } from "../domain/ports/key-verifier.ts";
import type { OwnKey, ReadOwnKey } from "../domain/ports/own-key.ts";
import { authenticate, requireKey } from "../domain/request/credential.ts";
import { credentialHeadersOf } from "./credential-headers.ts";
import type { Route } from "./router.ts";

export interface OwnKeyDependencies {
  readonly verifyKey: VerifyKey;
  readonly readOwnKey: ReadOwnKey;
  readonly trustedProxies: TrustedProxies;
}

/** Route by which any valid key reads itself and the limits that apply to it, whatever its scopes. */
export function ownKeyRoute({ verifyKey, readOwnKey, trustedProxies }: OwnKeyDependencies): Route {
  return {
    method: "GET",
    path: "/v1/key",
    reaches: "gateway",
    async handle(exchange) {
      const address = trustedProxies.clientAddressOf(exchange.request);
      const key = await authenticate(credentialHeadersOf(exchange), async (token) => {
        // Refused from the cache, without a call, where the gateway knows the token.
        requireKey(await verifyKey(token));
        return readOwnKey({ token, address }).catch(refuseTooMany);
      });
      exchange.reply.announce({ "cache-control": "no-store" });
      await exchange.sendJson(200, toKeyObject(key));
    },
  };
}

function refuseTooMany(error: unknown): never {
  if (!(error instanceof DomainError) || error.code !== "resource_exhausted") throw error;
  const retryAfter = error.metadata["retry_after"];
  throw new Refusal("rate_limit_exceeded", error.message, { retryable: true, retryAfter, cause: error });
}

function toKeyObject({
  id,
  name,
  prefix,
  scopes,
  parentId,
  namespaceId,
  createdAt,
  expiresAt,
  limits,
}: OwnKey): object {
  return {
    id,
    name,
    prefix,
    scopes,
    parent_id: parentId ?? null,
    namespace_id: namespaceId,
    created_at: createdAt.toISOString(),
    expires_at: expiresAt?.toISOString() ?? null,
    limits,
  };
}
