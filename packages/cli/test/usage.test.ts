import type { ServiceImpl } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { RequestStatus, UsageDimension, UsageMeasure, UsageService } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";
import { UNKNOWN_LATENCIES } from "./unknown-latencies.ts";

const BY_GUARDRAIL = { policyId: "pol_1", bindingId: "bnd_1", rule: "guardrail.content_patterns" };
const AT = { seconds: 1_777_593_600n, nanos: 0 };

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
});

const KEY = "key_01kayeqtfnexes8b2c1x4m9d7z";

/** Starts a node that has `KEY`. */
const usage = (implementation: Partial<ServiceImpl<typeof UsageService>>): Promise<FakeNode> =>
  startFakeNode((router) => {
    router.service(UsageService, implementation);
    router.service(KeyService, { getKey: ({ id }) => ({ key: { id } }) });
  });

describe.concurrent("usage", () => {
  it("sends the dimensions, and shows each group with its values in JSON", async () => {
    let received: object = {};
    await using node = await usage({
      getUsage({ groupBy, keyId, model, provider }) {
        received = { groupBy, keyId, model, provider };
        const group = { day: AT, provider: "local", keyId: "", model: "small", requestCount: 2n, spendMicroUsd: 7n };
        return { from: AT, to: AT, requestCount: 2n, spendMicroUsd: 7n, groups: [group] };
      },
    });
    const filters = ["--key", KEY, "--model", "small", "--provider", "LOCAL"];
    const argv = ["cloud", "usage", "--group-by", "model,day", ...filters];
    const { stdout } = await runCli([...argv, "--json"], as(node.url));
    expect(received).toEqual({
      groupBy: [UsageDimension.MODEL, UsageDimension.DAY],
      keyId: KEY,
      model: "small",
      provider: "local",
    });
    const numbers = { request_count: 2, prompt_tokens: 0, completion_tokens: 0, spend_micro_usd: 7 };
    const denied = { denied_count: 0, denied_unlogged_count: 0, ...UNKNOWN_LATENCIES };
    const day = "2026-05-01T00:00:00.000Z";
    expect(JSON.parse(stdout)).toEqual({
      from: day,
      to: day,
      ...numbers,
      ...denied,
      groups: [{ model: "small", day, ...numbers, ...denied }],
    });
    const text = await runCli([...argv, "--format", "table"], as(node.url));
    expect(text.stdout).toMatch(/^to +.*\n\nDAY \(UTC\) +MODEL +REQUESTS +IN +OUT +USD$/m);
    expect(text.stdout).toMatch(/^2026-05-01 +small +2 +0 +0 +\$0\.000007 +█{16}$/m);
    expect(text.stdout).toMatch(/^TOTAL +2 +0 +0 +\$0\.000007$/m);
  });

  it("shows every digit of sums beyond 2^53, in each format", async () => {
    const [spend, tokens] = [9_007_199_254_740_993n, 9_223_372_036_854_775_807n];
    await using node = await usage({
      getUsage({ groupBy }) {
        const sums = { requestCount: 1n, promptTokens: tokens, spendMicroUsd: spend };
        const groups = [
          { model: "small", ...sums, spendMicroUsd: spend - 1n },
          { model: "large", ...sums },
        ];
        return { from: AT, to: AT, ...sums, groups: groupBy.length === 0 ? [] : groups };
      },
    });
    const shown = async (...argv: string[]): Promise<string> =>
      (await runCli(["cloud", "usage", ...argv], as(node.url))).stdout;
    expect(await shown()).toMatch(/^spend +9007199254740993 micro-USD \(\$9,007,199,254\.740993\)$/m);
    expect(await shown("--json")).toContain('"spend_micro_usd": 9007199254740993,');
    expect(await shown("-o", "yaml")).toMatch(/^spend_micro_usd: 9007199254740993$/m);
    const groups = ["--group-by", "model", "--sort", "spend_micro_usd"];
    expect(await shown(...groups, "-o", "csv")).toMatch(
      /\r\nlarge,1,9223372036854775807,0,9007199254740993,.*\r\nsmall,1,9223372036854775807,0,9007199254740992,/,
    );
    expect(await shown(...groups, "-o", "table")).toMatch(
      /^large +1 +9,223,372,036,854,775,807 +0 +\$9,007,199,254\.740993 /m,
    );
    expect(JSON.parse(await shown(...groups, "--json"))).toMatchObject({
      groups: [{ model: "large" }, { model: "small" }],
    });
  });

  it("groups by days in --time-zone, and shows times in it", async () => {
    const received: object[] = [];
    const day = (offset: bigint) => ({ day: { seconds: AT.seconds + offset * 3_600n, nanos: 0 }, requestCount: 1n });
    await using node = await usage({
      getUsage({ groupBy, timeZone }) {
        received.push({ groupBy, timeZone });
        return { from: AT, to: AT, requestCount: 2n, groups: [day(-2n), day(22n)] };
      },
    });
    const argv = ["cloud", "usage", "--time-zone", "Europe/Berlin"];
    const byDay = [...argv, "--group-by", "day"];
    const { groups } = JSON.parse((await runCli([...byDay, "--json"], as(node.url))).stdout) as { groups: object[] };
    expect(groups).toMatchObject([{ day: "2026-04-30T22:00:00.000Z" }, { day: "2026-05-01T22:00:00.000Z" }]);
    const { stdout } = await runCli([...byDay, "-o", "table"], as(node.url));
    expect(stdout).toMatch(/^from +2026-05-01 02:00:00 \+02:00$/m);
    expect(stdout).toMatch(/^DAY \(Europe\/Berlin\) +REQUESTS/m);
    expect(stdout).toMatch(/^2026-05-02 +1 /m);
    await runCli(argv, as(node.url));
    const days = { groupBy: [UsageDimension.DAY], timeZone: "Europe/Berlin" };
    expect(received).toEqual([days, days, { groupBy: [], timeZone: "" }]);
  });

  it("shows denied requests separately, and how many of them have no row", async () => {
    await using node = await usage({
      getUsage() {
        const group = { keyId: "key_1", requestCount: 2n, deniedCount: 500n, deniedUnloggedCount: 440n };
        const totals = { requestCount: 2n, deniedCount: 500n, deniedUnloggedCount: 440n };
        return { from: AT, to: AT, ...totals, groups: [group] };
      },
    });
    const argv = ["cloud", "usage", "--group-by", "key"];
    const { stdout } = await runCli([...argv, "--json"], as(node.url));
    const denied = { request_count: 2, denied_count: 500, denied_unlogged_count: 440 };
    expect(JSON.parse(stdout)).toMatchObject({ ...denied, groups: [{ key_id: "key_1", ...denied }] });
    const text = await runCli([...argv, "-o", "table"], as(node.url));
    expect(text.stdout).toMatch(/^denied +500 \(440 of them without a row\)$/m);
    expect(text.stdout).toMatch(/ USD +DENIED$/m);
  });

  it("requests latencies, and shows them as fields, in wide groups and in JSON", async () => {
    const asked: boolean[] = [];
    await using node = await usage({
      getUsage({ latency, groupBy }) {
        asked.push(latency);
        const totalLatency = { requestCount: 9n, p50Ms: 1_200n, p95Ms: 3_400n, p99Ms: 5_600n };
        const groups = groupBy.length === 0 ? [] : [{ model: "small", totalLatency }, { model: "large" }];
        return { from: AT, to: AT, requestCount: 9n, totalLatency, groups };
      },
    });
    const known = { total_p50_ms: 1_200, total_p95_ms: 3_400, total_p99_ms: 5_600 };
    const { stdout: fields } = await runCli(["cloud", "usage", "-o", "table"], as(node.url));
    expect(fields).toMatch(/^latency +p50 1200 ms, p95 3400 ms, p99 5600 ms$/m);
    expect(fields).not.toContain("first token");
    const argv = ["cloud", "usage", "--group-by", "model"];
    expect(JSON.parse((await runCli([...argv, "--json"], as(node.url))).stdout)).toMatchObject({
      ...UNKNOWN_LATENCIES,
      ...known,
      groups: [known, UNKNOWN_LATENCIES],
    });
    const { stdout: wide } = await runCli([...argv, "-o", "wide"], as(node.url));
    expect(wide).toMatch(/ P50 MS +P95 MS +P99 MS /);
    expect(wide).toMatch(/^small .* 1200 +3400 +5600 +- /m);
    expect(asked).toEqual([true, true, true]);
  });

  it("requests the largest values, and shows the rest as one", async () => {
    const asked: object[] = [];
    await using node = await usage({
      getUsage({ groupBy, largest, largestBy }) {
        asked.push({ groupBy, largest, largestBy });
        const groups = [
          { day: AT, keyId: KEY, model: "small", requestCount: 9n },
          { day: AT, requestCount: 20n, restCount: 1_398n },
        ];
        return { from: AT, to: AT, requestCount: 29n, groups };
      },
    });
    const argv = ["cloud", "usage", "--group-by", "day,key,model,status", "--largest", "1"];
    const { stdout } = await runCli([...argv, "--json"], as(node.url));
    expect(JSON.parse(stdout)).toMatchObject({
      request_count: 29,
      groups: [
        { key_id: KEY, model: "small", request_count: 9 },
        { key_id: null, key_name: null, model: null, status: null, request_count: 20, rest_count: 1_398 },
      ],
    });
    expect(stdout.match(/rest_count/g)).toHaveLength(1);
    const { stdout: text } = await runCli([...argv, "--largest-by", "requests", "-o", "table"], as(node.url));
    expect(text).toMatch(/^2026-05-01 +1,398 others +1,398 others +1,398 others +20 /m);
    const { stdout: csv } = await runCli([...argv, "-o", "csv"], as(node.url));
    expect(csv).toMatch(/^day,.*,rest_count$/m);
    expect(csv).toMatch(/^2026-05-01T00:00:00.000Z,,,,,20,.*,1398\r?$/m);
    const groupBy = [UsageDimension.DAY, UsageDimension.KEY, UsageDimension.MODEL, UsageDimension.STATUS];
    const bySpend = { groupBy, largest: 1, largestBy: UsageMeasure.SPEND };
    expect(asked).toEqual([bySpend, { ...bySpend, largestBy: UsageMeasure.REQUESTS }, bySpend]);
  });

  it.each([
    [["--largest", "3"], "--largest needs --group-by with key, model, provider or status"],
    [["--largest", "3", "--group-by", "day,hour"], "--largest needs --group-by with key, model, provider or status"],
    [["--group-by", "key", "--largest-by", "tokens"], "--largest-by needs --largest"],
    [["--group-by", "key", "--largest", "1001"], "It must be a whole number from 1 to 1000."],
    [
      ["--group-by", "key", "--largest", "2", "--largest-by", "cost"],
      "Allowed choices are spend, requests, tokens, denied.",
    ],
  ])("refuses %j without a call", async (argv, message) => {
    const { code, stderr } = await runCli(["cloud", "usage", ...argv], as("http://127.0.0.1:1"));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  });

  it("refuses an unknown dimension without a call", async () => {
    const { code, stderr } = await runCli(["cloud", "usage", "--group-by", "model,colour"], as("http://127.0.0.1:1"));
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining("key, model, provider, status, hour, day"),
    });
  });
});

describe.concurrent("requests", () => {
  it("sends the filters, with the status by its name", async () => {
    const received: object[] = [];
    await using node = await usage({
      getUsage: () => ({ groups: [{ model: "small", provider: "local" }] }),
      listRequests({ filter }) {
        received.push({ ...filter });
        return {};
      },
    });
    const filters = ["--key", KEY, "--model", "local/small", "--status", "unknown", "--from", "2026-05-01T00:00:00Z"];
    const { code } = await runCli(["cloud", "requests", ...filters], as(node.url));
    expect(code).toBe(0);
    expect(received).toMatchObject([
      { keyId: KEY, model: "small", provider: "local", status: RequestStatus.UNKNOWN, from: AT },
    ]);
    expect(await runCli(["cloud", "requests", "--status", "lost"], as(node.url))).toMatchObject({ code: 2 });
  });

  it("get: shows the receipt: to people as fields, in JSON as in lists", async () => {
    await using node = await usage({
      getRequest: ({ id }) => ({
        request: {
          id,
          status: RequestStatus.DENIED,
          createdAt: AT,
          completedAt: { ...AT, nanos: 250_000_000 },
          deniedRule: "guardrail.model_deny",
          deniedByPolicyId: "pol_1",
          deniedByBindingId: "bnd_1",
          httpStatus: 403,
          reservedMicroUsd: 12n,
          upstreamStatus: 429,
          upstreamRequestId: "req-up-1",
          upstreamError: "You exceeded your current quota",
        },
        receipt: { totalMs: 250n },
      }),
    });
    const { stdout } = await runCli(["cloud", "request", "get", "req_1"], as(node.url));
    expect(stdout).toMatch(/^denied by +guardrail\.model_deny pol_1 bnd_1$/m);
    expect(stdout).toMatch(/^reserved +12 micro-USD \(\$0\.000012\)$/m);
    expect(stdout).toMatch(/\(after 250 ms\)$/m);
    expect(stdout).toMatch(/^upstream said +429 You exceeded your current quota$/m);
    expect(stdout).toMatch(/^upstream id +req-up-1$/m);
    const json = await runCli(["cloud", "request", "get", "req_1", "--json"], as(node.url));
    expect(JSON.parse(json.stdout)).toMatchObject({
      id: "req_1",
      status: "denied",
      reserved_micro_usd: 12,
      price: null,
      token_buckets: { prompt: 0, cached_prompt: null, cache_write: null, completion: 0, reasoning: null },
      upstream_status: 429,
      upstream_request_id: "req-up-1",
      upstream_error: "You exceeded your current quota",
      timings: { admitted_at: null, time_to_first_token_ms: null, upstream_ms: null, total_ms: 250 },
      guardrail_decisions: [],
      attempts: [],
      denial: null,
    });
  });

  it("get: shows for a denial by a limit the amounts left and needed, and when to try again", async () => {
    const receiptOf = async (deniedRule: string, retryAt?: typeof AT) => {
      const deniedAmounts = { limit: 5_000_000n, remaining: 3n, needed: 40n, ...(retryAt && { retryAt }) };
      await using node = await usage({
        getRequest: ({ id }) => ({
          request: { id, status: RequestStatus.DENIED, createdAt: AT, completedAt: AT, deniedRule },
          receipt: { deniedAmounts },
        }),
      });
      const { stdout } = await runCli(["cloud", "request", "get", "req_1"], as(node.url));
      const json = await runCli(["cloud", "request", "get", "req_1", "--json"], as(node.url));
      return { stdout, denial: (JSON.parse(json.stdout) as { denial: unknown }).denial };
    };
    const budget = await receiptOf("budget", AT);
    expect(budget.stdout).toMatch(/^left +3 micro-USD.* of 5,?000,?000 micro-USD/m);
    expect(budget.stdout).toMatch(/^needed +at least 40 micro-USD/m);
    expect(budget.stdout).toMatch(/^retry +from \d{4}-/m);
    const amounts = { limit: 5_000_000, remaining: 3, needed: 40 };
    expect(budget.denial).toEqual({
      unit: "micro_usd",
      ...amounts,
      retry_at: new Date(Number(AT.seconds) * 1_000).toISOString(),
    });
    const tokens = await receiptOf("rate_limit.max_tokens");
    expect(tokens.stdout).toMatch(/^left +3 tokens of 5,?000,?000 tokens$/m);
    expect(tokens.stdout).toMatch(/^retry +waiting does not help$/m);
    expect(tokens.denial).toEqual({ unit: "tokens", ...amounts, retry_at: null });
    const slots = await receiptOf("rate_limit.max_concurrent");
    expect(slots.denial).toMatchObject({ unit: "requests_at_once" });
  });

  it("get: shows price, kinds of tokens and times of the receipt", async () => {
    await using node = await usage({
      getRequest: ({ id }) => ({
        request: {
          id,
          status: RequestStatus.SUCCEEDED,
          promptTokens: 9n,
          completionTokens: 8n,
          cachedPromptTokens: 0n,
          cacheWriteTokens: 4n,
          promptAudioTokens: 3n,
          completionAudioTokens: 2n,
          reasoningTokens: 5n,
          serviceTier: "priority",
          createdAt: AT,
          completedAt: AT,
        },
        receipt: {
          price: {
            version: "file:0123456789ab",
            inputPicoUsd: 150_000n,
            outputPicoUsd: 2_000_000n,
            requestPicoUsd: 25_000_000_000n,
            cachedInputPicoUsd: 0n,
            outputAudioPicoUsd: 20_000_000n,
          },
          billedModel: "dear",
          overrunMicroUsd: 997_010n,
          admittedAt: AT,
          timeToFirstTokenMs: 70,
          upstreamMs: 900,
          totalMs: 950n,
          guardrailDecisions: [
            { ...BY_GUARDRAIL, pattern: "house word", blockedResponse: true },
            { ...BY_GUARDRAIL, pattern: "ssn", requestRedactions: 2, responseRedactions: 1 },
            { ...BY_GUARDRAIL, blockedRequest: true },
          ],
          attempts: [
            { provider: "east", model: "gpt-4o", errorCode: "upstream_unreachable", startedMs: 3, durationMs: 12 },
            { provider: "west", model: "gpt-4o", status: 200, durationMs: 900 },
          ],
        },
      }),
    });
    const { stdout } = await runCli(["cloud", "request", "get", "req_1"], as(node.url));
    expect(stdout).toMatch(
      /^price +\$0\.15 in, \$0 cached in, \$2 out, \$20 audio out per million tokens, \$0\.025 per request \(file:/m,
    );
    expect(stdout).toMatch(/^service tier +priority$/m);
    expect(stdout).toMatch(/^billed model +dear$/m);
    expect(stdout).toMatch(/^overrun +997,?010 micro-USD \(\$0\.99701\d*\) beyond its reservation$/m);
    expect(stdout).toMatch(/^prompt tokens +9 \(0 cached, 4 written to the cache, 3 audio\)$/m);
    expect(stdout).toMatch(/^completion tokens +8 \(2 audio, 5 reasoning\)$/m);
    expect(stdout).toMatch(/^first token +after 70 ms$/m);
    expect(stdout).toMatch(/^upstream +900 ms$/m);
    expect(stdout).toMatch(/^guardrail +blocked the answer: 'house word' pol_1 bnd_1$/m);
    expect(stdout).toMatch(/^guardrail +redacted 2 in the request, redacted 1 in the answer: 'ssn' pol_1 bnd_1$/m);
    expect(stdout).toMatch(/^guardrail +blocked the request: more than can be judged pol_1 bnd_1$/m);
    expect(stdout).toMatch(/^attempt +east\/gpt-4o: upstream_unreachable after 12 ms$/m);
    expect(stdout).toMatch(/^attempt +west\/gpt-4o: 200 after 900 ms$/m);
    const json = await runCli(["cloud", "request", "get", "req_1", "--json"], as(node.url));
    const at = expect.stringMatching(/^\d{4}-.*T.*Z$/) as unknown;
    const { rule } = BY_GUARDRAIL;
    const nothing = { request_redactions: 0, response_redactions: 0 };
    expect(JSON.parse(json.stdout)).toMatchObject({
      price: {
        version: "file:0123456789ab",
        input_pico_usd: 150_000,
        output_pico_usd: 2_000_000,
        request_pico_usd: 25_000_000_000,
        cached_input_pico_usd: 0,
        cache_write_pico_usd: null,
        input_audio_pico_usd: null,
        output_audio_pico_usd: 20_000_000,
        reasoning_pico_usd: null,
      },
      billed_model: "dear",
      overrun_micro_usd: 997_010,
      token_buckets: {
        prompt: 9,
        cached_prompt: 0,
        cache_write: 4,
        prompt_audio: 3,
        completion: 8,
        completion_audio: 2,
        reasoning: 5,
      },
      service_tier: "priority",
      upstream_status: null,
      timings: { received_at: at, admitted_at: at, time_to_first_token_ms: 70, upstream_ms: 900, total_ms: 950 },
      guardrail_decisions: [
        { policy_id: "pol_1", binding_id: "bnd_1", rule, pattern: "house word", ...nothing, blocked: "response" },
        { policy_id: "pol_1", pattern: "ssn", request_redactions: 2, response_redactions: 1, blocked: null },
        { policy_id: "pol_1", pattern: null, ...nothing, blocked: "request" },
      ],
      attempts: [
        {
          provider: "east",
          model: "gpt-4o",
          status: null,
          error_code: "upstream_unreachable",
          started_ms: 3,
          ms: 12,
        },
        { provider: "west", model: "gpt-4o", status: 200, error_code: null, started_ms: null, ms: 900 },
      ],
    });
  });
});
