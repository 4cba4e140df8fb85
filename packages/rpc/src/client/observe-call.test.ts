import { Code, ConnectError } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { counter } from "@routeplane/runtime";
import { expect, it } from "vitest";
import { observeCall } from "./observe-call.ts";

it("counts failures by method and code, and passes result and error on", async () => {
  const { verifyKey } = VerificationService.method;
  const failures = counter({ name: "routeplane_dependency_call_failures_total", help: "" });
  failures.reset();
  await expect(observeCall(verifyKey, () => Promise.resolve("result"))).resolves.toBe("result");
  const down = new ConnectError("down", Code.Unavailable);
  await expect(observeCall(verifyKey, () => Promise.reject(down))).rejects.toBe(down);
  const { values } = await failures.get();
  expect(values).toEqual([{ labels: { method: "VerificationService/VerifyKey", code: "Unavailable" }, value: 1 }]);
});
