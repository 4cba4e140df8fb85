import { Code, ConnectError } from "@connectrpc/connect";
import { DomainError } from "@routeplane/domain";
import { toConnectError } from "@routeplane/rpc";
import { expect, it } from "vitest";
import { toRouteplaneError } from "./convert-error.ts";
import { RouteplaneError } from "./error.ts";

it("converts to an HTTP response with status, headers and body", async () => {
  const retryAt = new Date(Date.now() + 2_500);
  const response = new RouteplaneError(8, "RATE_LIMIT_EXCEEDED", "too many requests", { retryAt }).getResponse();
  expect(response.status).toBe(429);
  expect(response.headers.get("retry-after")).toBe("3");
  expect(await response.json()).toEqual({ error: { reason: "RATE_LIMIT_EXCEEDED", message: "too many requests" } });
  expect(new RouteplaneError(8, "BUDGET_EXCEEDED", "").statusCode).toBe(402);
  expect(new RouteplaneError(16, "CREDENTIAL_INVALID", "").headers).toEqual({ "www-authenticate": "Bearer" });
});

it("keeps the reason, details and fields of an error of a node", () => {
  const error = new DomainError("permission_denied", "SCOPE_MISSING", "no", { metadata: { scope: "keys:read" } });
  expect(toRouteplaneError(error)).toMatchObject({ reason: "SCOPE_MISSING", code: 7, info: { scope: "keys:read" } });
  const limited = new DomainError("resource_exhausted", "RATE_LIMITED", "slow", { metadata: { retry_after: "1" } });
  expect(toRouteplaneError(toConnectError(limited)).retryAt?.getTime()).toBeGreaterThan(Date.now());
  expect(toRouteplaneError(new ConnectError("connection refused", Code.Unavailable)).reason).toBe("UNREACHABLE");
});

it.each(["A_LATER_ONE", "UNSPECIFIED", "0", "__proto__"])("reports the unknown reason %s as UNKNOWN", (reason) => {
  const error = new DomainError("aborted", reason as DomainError["reason"], "later");
  expect(toRouteplaneError(error)).toMatchObject({ reason: "UNKNOWN", code: 10, message: "later" });
});
