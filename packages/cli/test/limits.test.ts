import { Code, type ServiceImpl } from "@connectrpc/connect";
import { IdentityService } from "@routeplane/contracts/auth";
import {
  BindingMode,
  BudgetWindow,
  EffectivePolicyService,
  LimitUnit,
  PrincipalType,
} from "@routeplane/contracts/policy";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const KEY = "key_01kayeqtfnexes8b2c1x4m9d7z";
const PARENT = "key_01kayeqtfnexes8b2c1x4m9d7y";
const NAMESPACE = "ns_01kayeqtfnexes8b2c1x4m9d7z";

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
});

const source = (policyName: string, principalType: PrincipalType, principalId: string) => ({
  policyId: `pol_${policyName}`,
  policyName,
  bindingId: `bnd_${policyName}`,
  principalType,
  principalId,
  mode: BindingMode.ENFORCE,
});

/** Starts a node for which the caller is `KEY`. */
const nodeWith = (effective: Partial<ServiceImpl<typeof EffectivePolicyService>>): Promise<FakeNode> =>
  startFakeNode((router) => {
    router.service(EffectivePolicyService, effective);
    router.service(IdentityService, { whoAmI: () => ({ identity: { case: "key", value: { keyId: KEY } } }) });
  });

const { NAMESPACE: ON_NAMESPACE, API_KEY } = PrincipalType;
const BUDGET = {
  source: source("cap", ON_NAMESPACE, NAMESPACE),
  unit: LimitUnit.MICRO_USD,
  window: BudgetWindow.DAY,
  windowSecs: 86_400,
  limit: 5_000_000n,
  used: 1_250_000n,
  reserved: 300_000n,
  leased: 200_000n,
  left: 3_450_000n,
  resetsAt: AT,
};
const TOTAL = {
  source: source("life", API_KEY, PARENT),
  unit: LimitUnit.MICRO_USD,
  window: BudgetWindow.TOTAL,
  limit: 7n,
  left: 7n,
};
const CALENDAR = {
  source: source("books", API_KEY, KEY),
  unit: LimitUnit.MICRO_USD,
  window: BudgetWindow.CALENDAR_MONTH,
  timeZone: "Europe/Berlin",
  limit: 9_000_000n,
  used: 1_000_000n,
  left: 8_000_000n,
  resetsAt: AT,
};
const REQUESTS = {
  source: source("rate", API_KEY, KEY),
  unit: LimitUnit.REQUESTS,
  windowSecs: 60,
  limit: 5n,
  used: 2n,
  left: 3n,
};
const SLOTS = {
  source: source("rate", API_KEY, KEY),
  unit: LimitUnit.CONCURRENT,
  limit: 4n,
  used: 1n,
  left: 3n,
};

describe.concurrent("limits", () => {
  it("are shown in JSON with the amounts used, reserved and left, and null if there is no window or end", async () => {
    await using node = await nodeWith({ getOwnLimits: () => ({ limits: [BUDGET, TOTAL, CALENDAR] }) });
    const { code, stdout } = await runCli(["cloud", "limits", "--json"], as(node.url));
    expect({ code, json: JSON.parse(stdout) }).toStrictEqual({
      code: 0,
      json: {
        data: [
          {
            policy_id: "pol_cap",
            policy_name: "cap",
            binding_id: "bnd_cap",
            principal_type: "namespace",
            principal_id: NAMESPACE,
            mode: "enforce",
            kind: "budget",
            unit: "micro_usd",
            window: "day",
            window_secs: 86_400,
            limit: 5_000_000,
            used: 1_250_000,
            reserved: 300_000,
            leased: 200_000,
            left: 3_450_000,
            resets_at: "2026-05-01T00:00:00.000Z",
          },
          expect.objectContaining({ principal_type: "api_key", window: "total", window_secs: null, resets_at: null }),
          expect.objectContaining({
            window: "calendar_month",
            time_zone: "Europe/Berlin",
            window_secs: null,
            resets_at: "2026-05-01T00:00:00.000Z",
          }),
        ],
        next_page_token: null,
      },
    });
  });

  it("are shown to people in their units, with the window and the principal that they are bound to", async () => {
    await using node = await nodeWith({ getOwnLimits: () => ({ limits: [BUDGET, TOTAL, CALENDAR, REQUESTS, SLOTS] }) });
    const { stdout } = await runCli(["cloud", "limits", "-o", "table"], as(node.url));
    const lines = stdout.split("\n").map((line) => line.trimEnd().split(/ {2,}/));
    expect(lines.slice(0, 6)).toEqual([
      ["LIMIT", "USED", "RESERVED", "LEFT", "RESETS", "MODE", "POLICY", "BOUND TO"],
      [
        "$5.00 per day",
        "$1.25",
        "$0.30",
        "$3.45",
        expect.stringContaining("2026-05-01"),
        "enforce",
        "cap",
        "the namespace",
      ],
      ["$0.000007 in total", "$0.00", "$0.00", "$0.000007", "enforce", "life", PARENT],
      [
        "$9.00 per calendar_month Europe/Berlin",
        "$1.00",
        "$0.00",
        "$8.00",
        expect.stringContaining("2026-05-01"),
        "enforce",
        "books",
        "this key",
      ],
      ["5 requests per 60 s", "2", "0", "3", "enforce", "rate", "this key"],
      ["4 at the same time", "1", "0", "3", "enforce", "rate", "this key"],
    ]);
  });

  it("are an empty list if none applies", async () => {
    await using node = await nodeWith({ getOwnLimits: () => ({ limits: [] }) });
    expect(await runCli(["cloud", "limits"], as(node.url))).toMatchObject({
      code: 0,
      stdout: "",
      stderr: expect.stringContaining("No limit applies."),
    });
  });

  it("exit with 4 for an operator credential, and say which credential to use", async () => {
    await using node = await nodeWith({
      getOwnLimits: () => {
        throw refusal(Code.PermissionDenied, "KEY_REQUIRED", "this needs a namespace key");
      },
    });
    const { code, stderr } = await runCli(["cloud", "limits", "--json"], as(node.url));
    expect({ code, error: JSON.parse(stderr) }).toMatchObject({
      code: 4,
      error: { error: { reason: "KEY_REQUIRED", hint: expect.stringContaining("Sign in with a key") } },
    });
  });
});
