import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { counter, withRequestId } from "@routeplane/runtime";
import { expect, it } from "vitest";
import { observeCalls } from "./observe-calls.ts";

it("gives a call the id of the request that makes it, and none outside of one; counts failures by method and code", async () => {
  const ids: (string | null)[] = [];
  const transport = createRouterTransport(
    (router) =>
      router.service(VerificationService, {
        verifyKey({ token }, { requestHeader }) {
          ids.push(requestHeader.get("x-request-id"));
          if (token === "broken") throw new ConnectError("down", Code.Unavailable);
          return {};
        },
      }),
    { transport: { interceptors: [observeCalls] } },
  );
  const { verifyKey } = createClient(VerificationService, transport);
  await Promise.all(["req_1", "req_2"].map((id) => withRequestId(id, () => verifyKey({ token: "t" }))));
  await verifyKey({ token: "t" });
  await expect(verifyKey({ token: "broken" })).rejects.toThrow("down");
  expect(ids).toEqual(["req_1", "req_2", null, null]);
  const { values } = await counter({ name: "routeplane_dependency_call_failures_total", help: "" }).get();
  expect(values).toEqual([{ labels: { method: "VerificationService/VerifyKey", code: "Unavailable" }, value: 1 }]);
});
