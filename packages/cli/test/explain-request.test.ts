import { Code } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { PolicyService, PrincipalType } from "@routeplane/contracts/policy";
import { RequestStatus, UsageService } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { refusal, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const DENIED = {
  status: RequestStatus.DENIED,
  keyId: "key_1",
  createdAt: AT,
  completedAt: AT,
  httpStatus: 402,
  errorCode: "budget_exceeded",
  deniedRule: "budget",
  deniedByPolicyId: "pol_1",
  deniedByBindingId: "bnd_6",
};
const RECEIPT = { deniedAmounts: { limit: 100n, remaining: 3n, needed: 40n, retryAt: AT } };

/** Runs `request explain` on a node that has this request. @param isReadable true if the credential may read keys and policies */
async function explain(request: object, receipt: object, isReadable = true) {
  const forbidden = () => {
    throw refusal(Code.PermissionDenied, "SCOPE_MISSING", "needs a scope");
  };
  await using node = await startFakeNode((router) => {
    router.service(UsageService, { getRequest: ({ id }) => ({ request: { id, ...request }, receipt }) });
    router.service(KeyService, {
      getKey: ({ id }) => (isReadable ? { key: { id, name: `name of ${id}` } } : forbidden()),
    });
    router.service(PolicyService, {
      getPolicy: ({ id }) => (isReadable ? { policy: { id, name: "daily-cap" } } : forbidden()),
      listBindings: () =>
        isReadable
          ? { bindings: [{ id: "bnd_6", principalType: PrincipalType.API_KEY, principalId: "key_0" }] }
          : forbidden(),
    });
  });
  const environment = { ROUTEPLANE_HOME: "/nonexistent", ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_env" };
  const argv = ["cloud", "request", "explain", "req_1"];
  const [text, json] = [await runCli(argv, environment), await runCli([...argv, "--json"], environment)];
  expect([text.code, json.code]).toEqual([0, 0]);
  return { text: text.stdout, json: JSON.parse(json.stdout) as { reason: string; next: readonly string[] } };
}

describe("request explain", () => {
  it("names the policy, its principal, the amount left and when to try again, and gives advice", async () => {
    const { text, json } = await explain(DENIED, RECEIPT);
    expect(text).toMatch(/^reason +policy "daily-cap" has too little left for the request$/m);
    expect(text).toMatch(/^policy +daily-cap \(pol_1\)$/m);
    expect(text).toMatch(/^bound to +key name of key_0 \(key_0\) \(bnd_6\)$/m);
    expect(text).toMatch(/^key +name of key_1 \(key_1\)$/m);
    expect(text).toMatch(/^needed +at least 40 micro-USD/m);
    expect(text).toMatch(/^next +Try again from 2026-05-01/m);
    expect(json).toMatchObject({
      id: "req_1",
      key_name: "name of key_1",
      policy: { id: "pol_1", name: "daily-cap" },
      binding: { id: "bnd_6", principal_type: "api_key", principal_id: "key_0", principal_name: "name of key_0" },
      denial: { unit: "micro_usd", limit: 100, needed: 40, remaining: 3, retry_at: "2026-05-01T00:00:00.000Z" },
    });
    expect(json.next).toHaveLength(4);
  });

  it("shows ids instead of names without the scopes to read keys and policies", async () => {
    const { text, json } = await explain(DENIED, RECEIPT, false);
    expect(text).toMatch(/^policy +pol_1$/m);
    expect(text).toMatch(/^bound to +bnd_6, which is removed or cannot be read$/m);
    expect(text).toMatch(/^key +key_1$/m);
    expect(json).toMatchObject({
      key_name: null,
      policy: { id: "pol_1", name: null },
      binding: { principal_id: null },
    });
  });

  it("gives no retry time if waiting does not help, and none for a guardrail", async () => {
    const never = await explain(DENIED, { deniedAmounts: { limit: 100n, remaining: 3n, needed: 400n } });
    expect(never.text).toMatch(/^retry +waiting does not help$/m);
    expect(never.json.next.join()).not.toMatch(/Try again/);
    const guarded = await explain({ ...DENIED, deniedRule: "guardrail.model_deny" }, {});
    expect(guarded.json).toMatchObject({ reason: expect.stringMatching(/denies the model/) as string, denial: null });
    expect(guarded.text).not.toMatch(/^(left|retry) /m);
  });

  it.each([
    [RequestStatus.SUCCEEDED, {}, /^answered$/, 0],
    [RequestStatus.PENDING, {}, /under way/, 0],
    [RequestStatus.FAILED, { errorCode: "upstream_error", httpStatus: 502 }, /^failed \(upstream_error\)$/, 1],
    [RequestStatus.CANCELLED, { errorCode: "client_gone" }, /^cancelled .* \(client_gone\)$/, 1],
    [RequestStatus.UNKNOWN, {}, /gateway was lost/, 0],
  ])("explains the other ends of a request: %i", async (status, fields, reason, steps) => {
    const { json } = await explain({ status, keyId: "key_1", createdAt: AT, ...fields }, {});
    expect(json.reason).toMatch(reason);
    expect(json).toMatchObject({ rule: null, policy: null, binding: null });
    expect(json.next).toHaveLength(steps);
  });
});
