import { createRouterTransport } from "@connectrpc/connect";
import { IdentityService } from "@routeplane/contracts/auth";
import { BudgetWindow, EffectivePolicyService, LimitUnit, PrincipalType } from "@routeplane/contracts/policy";
import { DomainError } from "@routeplane/domain";
import { CLIENT_ADDRESS, RELAY_CREDENTIAL, toConnectError, toTimestamp } from "@routeplane/rpc";
import { createLogger, readEnvironment, readTrustedProxies } from "@routeplane/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createReadOwnKey } from "../src/clients/own-key.ts";
import { BodyBudget } from "../src/handlers/body-budget.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { unknownMethod } from "../src/handlers/management.ts";
import { ownKeyRoute } from "../src/handlers/own-key.ts";
import { createRouter } from "../src/handlers/router.ts";
import { type FakeVerifier, fakeVerifier } from "./fake-verifier.ts";

/** Tests of `GET /v1/key` over the contracts of auth and policy: the content of its calls, and the handling of their errors. */

const GATEWAY_TOKEN = "rps_of-the-gateway";
const CREATED_AT = new Date("2026-11-30T01:02:03.456Z");

let verifier: FakeVerifier;
/** Error that policy answers with; undefined for its limits. */
let failure: DomainError | undefined;
/** Headers of each call to a service. */
let calls: Headers[];
let url: string;
let stop: () => Promise<void>;

beforeEach(async () => {
  verifier = fakeVerifier();
  [failure, calls] = [undefined, []];
  const transport = createRouterTransport(({ service }) => {
    service(IdentityService, {
      whoAmI(_request, { requestHeader }) {
        calls.push(requestHeader);
        const value = { keyId: "key_1", name: "agent", prefix: "rp_live_abcdefgh", scopes: ["usage:read"] };
        const more = { namespaceId: "ns_1", createdAt: toTimestamp(CREATED_AT) };
        return { identity: { case: "key", value: { ...value, ...more } } };
      },
    });
    service(EffectivePolicyService, {
      getOwnLimits(_request, { requestHeader }) {
        calls.push(requestHeader);
        if (failure !== undefined) throw toConnectError(failure);
        const source = { policyId: "pol_1", principalType: PrincipalType.NAMESPACE };
        const window = { window: BudgetWindow.TOTAL, windowSecs: 0 };
        return { limits: [{ source, unit: LimitUnit.MICRO_USD, ...window, limit: 7n, used: 2n, left: 5n }] };
      },
    });
  });
  const readOwnKey = createReadOwnKey({ auth: transport, policy: transport, serviceToken: GATEWAY_TOKEN });
  const bodies = new BodyBudget(1 << 20);
  const log = createLogger("gateway", (line) => line, "silent");
  const { trustedProxies } = readEnvironment({ ROUTEPLANE_TRUSTED_PROXIES: "127.0.0.1" }, (env) => ({
    trustedProxies: readTrustedProxies(env),
  }));
  const routes = [ownKeyRoute({ verifyKey: verifier.verify, readOwnKey, trustedProxies })];
  const router = createRouter({ routes, unknownMethod, bodies, redact: (text) => text, log, clock: Date.now });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
  url = `http://127.0.0.1:${server.port}/v1/key`;
  stop = () => server.stop();
});
afterEach(() => stop());

async function read(token: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}`, ...headers } });
  return { status: response.status, headers: response.headers, body: (await response.json()) as object };
}

describe("the own key", () => {
  it("is read with the key's own credential, in calls that the services trust to come from the gateway", async () => {
    const { token } = verifier.mint([]);
    expect(await read(token)).toMatchObject({
      status: 200,
      body: {
        id: "key_1",
        parent_id: null,
        namespace_id: "ns_1",
        created_at: CREATED_AT.toISOString(),
        expires_at: null,
        limits: [
          { policy_id: "pol_1", kind: "budget", window: "total", window_secs: null, limit: 7, used: 2, left: 5 },
        ],
      },
    });
    expect(calls).toHaveLength(2);
    for (const headers of calls) {
      expect(headers.get("authorization")).toBe(`Bearer ${token}`);
      expect(headers.get(RELAY_CREDENTIAL)).toBe(GATEWAY_TOKEN);
      expect(headers.get(CLIENT_ADDRESS)).toBe("127.0.0.1");
    }
  });

  it("is read from the address that a trusted proxy names", async () => {
    await read(verifier.mint([]).token, { "x-forwarded-for": "192.0.2.1, 198.51.100.7" });
    expect(calls.map((headers) => headers.get(CLIENT_ADDRESS))).toEqual(["198.51.100.7", "198.51.100.7"]);
  });

  it("makes no call for a token that the gateway knows to be invalid", async () => {
    const { id, token } = verifier.mint([]);
    verifier.revoke(id);
    for (const each of [token, "rp_unknown"]) {
      expect(await read(each)).toMatchObject({ status: 401, body: { error: { code: "invalid_api_key" } } });
    }
    expect(calls).toEqual([]);
  });

  it("is 401 if a service refuses the key, because it was revoked meanwhile", async () => {
    failure = new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "this API key was revoked");
    expect(await read(verifier.mint([]).token)).toMatchObject({
      status: 401,
      body: { error: { code: "invalid_api_key", message: "this API key was revoked" } },
    });
  });

  it("is 429 with the wait if the key calls a service too often", async () => {
    failure = new DomainError("resource_exhausted", "RATE_LIMITED", "too many", { metadata: { retry_after: "1" } });
    const { status, headers, body } = await read(verifier.mint([]).token);
    expect({ status, wait: headers.get("retry-after"), body }).toMatchObject({
      status: 429,
      wait: "1",
      body: { error: { code: "rate_limit_exceeded" } },
    });
    expect(headers.has("x-should-retry")).toBe(false);
  });

  it("is 503 and names the service that does not answer", async () => {
    failure = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "postgres does not answer");
    expect(await read(verifier.mint([]).token)).toMatchObject({
      status: 503,
      body: { error: { code: "dependency_unavailable", dependency: "policy" } },
    });
  });
});
