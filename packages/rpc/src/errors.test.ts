import { inspect } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import { Reason } from "@routeplane/contracts/errors";
import { mintToken } from "@routeplane/credentials";
import { DomainError, type ErrorReason, invalidField } from "@routeplane/domain";
import { expect, it } from "vitest";
import { fromConnectError, toConnectError } from "./errors.ts";

it("carries a domain error over the wire, without its cause", () => {
  const error = new DomainError("permission_denied", "SCOPE_EXCEEDS_PARENT", "too much", {
    fields: [{ field: "scopes", rule: "subset" }],
    metadata: { scopes: "keys:*" },
    cause: new Error("the cause of it"),
  });
  const back = fromConnectError(toConnectError(error), "auth");
  const { code, reason, fields, metadata } = error;
  expect(back).toMatchObject({ code, reason, fields, metadata, message: "too much" });
  expect(inspect(toConnectError(error), { depth: 3 })).not.toContain("the cause of it");
});

it("names the dependency when a call got no response", () => {
  for (const error of [new Error("connect ECONNREFUSED"), new ConnectError("late", Code.DeadlineExceeded)]) {
    expect(fromConnectError(error, "policy")).toMatchObject({
      code: "unavailable",
      reason: "DEPENDENCY_UNAVAILABLE",
      metadata: { dependency: "policy" },
    });
  }
});

it("reports a fault of the other service as unavailable", () => {
  const internal = toConnectError(new Error("boom"));
  expect(fromConnectError(internal, "auth")).toMatchObject({ code: "unavailable" });
});

it("does not report a refusal by the protocol as a fault of the service", () => {
  const refused = toConnectError(new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument));
  expect(fromConnectError(refused, "auth")).toMatchObject({ code: "invalid_argument", reason: "FIELD_INVALID" });
});

it("sends only reasons that are in the contract", () => {
  const reason: ErrorReason = invalidField("name", "rule").reason;
  expect(Reason[reason]).toBeTypeOf("number");
});

it("sends no credential, no control character and no overlong text of the caller", () => {
  const token = mintToken("key");
  const error = invalidField("name", `must not be ${token}\u001b[31m${"x".repeat(10_000)}`);
  const sent = inspect(toConnectError(error), { depth: 6, maxStringLength: null });
  for (const part of [token, token.split("_")[3], "\u001b", "x".repeat(5_000)]) expect(sent).not.toContain(part);
  expect(toConnectError(error).rawMessage).toContain("rp_[redacted]\ufffd[31m");
});
