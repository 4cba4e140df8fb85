import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { MICRO, pipelineUnderTest, reservationOf } from "../../../test/pipeline-under-test.ts";
import { fakeBudget } from "../../../test/fake-admissions.ts";
import { createModelDirectory, type Model, type Surcharge } from "../request/model-directory.ts";

const price = (input: bigint, output: bigint) => ({
  inputPicoUsd: input * 1_000_000n,
  outputPicoUsd: output * 1_000_000n,
});

function model(id: string, input: bigint, output: bigint, more: Partial<Model> = {}): Model {
  const prices = [{ aboveInputTokens: 0, price: price(input, output) }] as const;
  return { provider: "echo", id, prices, priceVersion: `file:${id}`, outputField: "max_tokens", ...more };
}

const SURCHARGES: readonly Surcharge[] = [
  { member: "service_tier", value: "priority", priceFactorPpm: 2_500_000n, requestPicoUsd: 0n },
  { member: "web_search_options", value: undefined, priceFactorPpm: 1_000_000n, requestPicoUsd: 25_000_000_000n },
];
const CHEAP = model("cheap", 1n, 2n, { memberRules: { allowed: new Set(), surcharges: SURCHARGES } });
const KNOWN = model("known", 1n, 2n, { priceVersion: "catalogue:known" });
const directory = createModelDirectory([CHEAP, model("dear", 100n, 200n), KNOWN], (_, id) =>
  id === "unserved" ? model("unserved", 10n, 20n, { priceVersion: "catalogue:unserved" }) : undefined,
);

const BODY = { model: "cheap", max_tokens: 3, messages: [{ role: "user", content: "one two three" }] };
const USAGE = { prompt_tokens: 10, completion_tokens: 2 };

function plain(answered: object, usage: object | null = USAGE) {
  const choices = [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "stop" }];
  return answeringUpstream("application/json", [JSON.stringify({ ...answered, choices, usage })]);
}

function stream(answered: object, answeredAtEnd: object = answered) {
  const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;
  const delta = { index: 0, delta: { content: '"model":"dear"' }, finish_reason: null };
  const end = { index: 0, delta: {}, finish_reason: "stop" };
  return answeringUpstream("text/event-stream", [
    event({ ...answered, choices: [delta] }),
    event({ ...answered, choices: [end] }),
    event({ ...answeredAtEnd, choices: [], usage: USAGE }),
    "data: [DONE]\n\n",
  ]);
}

async function settle(body: object, upstream: ReturnType<typeof plain>, budget = fakeBudget(1_000_000n * MICRO)) {
  const lines: string[] = [];
  const log = createLogger("gateway", (line) => (lines.push(line), ""));
  const served = pipelineUnderTest({ upstream, budget, overrides: { directory, log } });
  const { refusal } = await served.serve(body);
  const logged = lines.map((line) => JSON.parse(line) as { level: string | number; msg: string });
  return { settlement: served.usage.settlements[0], admission: served.usage.admissions[0], refusal, logged, budget };
}

describe("an answer", () => {
  it.each([
    ["a completion", BODY, plain({ model: "dear" })],
    ["a stream", { ...BODY, stream: true }, stream({ model: "dear" })],
    ["a stream that says so at its end", { ...BODY, stream: true }, stream({ model: "cheap" }, { model: "dear" })],
    ["a stream that says so at its beginning", { ...BODY, stream: true }, stream({ model: "dear" }, {})],
  ])(
    "of another model is charged at that model's price, and the row and the log say so: %s",
    async (_, body, upstream) => {
      const { settlement, logged, budget } = await settle(body, upstream);
      expect(settlement).toMatchObject({ costNanoUsd: 1_400n * MICRO, billedModel: "dear", facts: { model: "cheap" } });
      expect(settlement?.price).toMatchObject({ version: "file:dear" });
      expect(budget.spentNano).toBe(1_400n * MICRO);
      expect(logged).toContainEqual(expect.objectContaining({ model: "cheap", billedModel: "dear" }) as unknown);
    },
  );

  it.each<[string, object]>([
    ["cheap", {}],
    ["cheap", { model: "" }],
    ["cheap", { model: 5 }],
    ["cheap", { model: "CHEAP" }],
    ["cheap", { model: "cheap-2026-07-18" }],
    ["cheap", { model: "vendor/cheap:free" }],
    ["cheap", { model: "of-nobody" }],
    ["cheap", { model: "unserved" }],
    ["known", { model: "cheap" }],
    ["known", { model: "of-nobody" }],
    ["known", { model: "known-2026-07-18" }],
    ["known", { model: "x".repeat(10_000) }],
  ])("is charged at the price of the requested model, %s, where it names %j", async (requested, answered) => {
    const { settlement } = await settle({ ...BODY, model: requested }, plain(answered));
    expect(settlement).toMatchObject({ costNanoUsd: 14n * MICRO });
    expect(settlement?.billedModel).toBeUndefined();
  });

  it("of a model that is not served is charged at the price that is publicly known of it", async () => {
    const { settlement } = await settle({ ...BODY, model: "known" }, plain({ model: "unserved" }));
    expect(settlement).toMatchObject({ costNanoUsd: 140n * MICRO, billedModel: "unserved" });
  });

  it("without usage is estimated at the requested model's price, or at the other's where that is dearer", async () => {
    const cheap = await settle(BODY, plain({ model: "cheap" }, null));
    const { promptTokens = 0, completionTokens = 0 } = cheap.settlement ?? {};
    const cost = BigInt(promptTokens + 2 * completionTokens) * MICRO;
    expect(cheap.settlement).toMatchObject({ estimated: true, costNanoUsd: cost });
    const dear = await settle(BODY, plain({ model: "dear" }, null));
    expect(dear.settlement).toMatchObject({ estimated: true, costNanoUsd: cost * 100n, billedModel: "dear" });
    const cheaper = await settle({ ...BODY, model: "dear" }, plain({ model: "cheap" }, null));
    expect(cheaper.settlement?.costNanoUsd).toBeGreaterThanOrEqual(cost * 99n);
    expect(cheaper.settlement?.billedModel).toBeUndefined();
  });
});

describe("a surcharge", () => {
  it.each<[object, bigint]>([
    [{ service_tier: "priority" }, 35n],
    [{ web_search_options: {} }, 25_014n],
    [{ service_tier: "priority", web_search_options: {} }, 25_035n],
    [{ service_tier: "default" }, 14n],
  ])("is reserved and charged: %j", async (more, cost) => {
    const plainly = await settle({ ...BODY, service_tier: "default" }, plain({ model: "cheap" }));
    const { settlement, admission } = await settle({ ...BODY, ...more }, plain({ model: "cheap" }));
    expect(settlement).toMatchObject({ costNanoUsd: cost * MICRO });
    expect(admission?.reservedNanoUsd).toBeGreaterThanOrEqual(
      (plainly.admission?.reservedNanoUsd ?? 0n) + (cost - 14n) * MICRO,
    );
  });

  it.each<[string, object, object, bigint, boolean]>([
    ["priority that default served", { service_tier: "priority" }, { service_tier: "default" }, 14n, false],
    ["no tier that priority served", {}, { service_tier: "priority" }, 35n, false],
    ["no tier that PRIORITY served", {}, { service_tier: " Priority" }, 35n, false],
    ["priority that priority served", { service_tier: "priority" }, { service_tier: "priority" }, 35n, false],
    ["priority whose answer names no tier", { service_tier: "priority" }, {}, 35n, false],
    ["priority that auto served", { service_tier: "priority" }, { service_tier: "auto" }, 35n, false],
    ["priority that an unpriced tier served", { service_tier: "priority" }, { service_tier: "scale" }, 35n, true],
    ["no tier that an unpriced tier served", {}, { service_tier: "flex" }, 14n, true],
    ["the account's tier, unpriced", { service_tier: "auto" }, { service_tier: "batch" }, 14n, true],
  ])(
    "of a tier is charged by the tier of the answer, as an estimate if that has no price: %s",
    async (_, more, answered, cost, estimated) => {
      const whole = await settle({ ...BODY, ...more }, plain({ model: "cheap", ...answered }));
      expect(whole.settlement).toMatchObject({ costNanoUsd: cost * MICRO, estimated });
      const streamed = await settle({ ...BODY, ...more, stream: true }, stream({ model: "cheap", ...answered }));
      expect(streamed.settlement).toMatchObject({ costNanoUsd: cost * MICRO, estimated });
    },
  );

  it.each<[string, object, bigint]>([
    ["no tier: the account may have any", {}, 25n],
    ["the account's tier", { service_tier: "auto" }, 25n],
    ["priority", { service_tier: "priority" }, 25n],
    ["the default tier", { service_tier: "default" }, 10n],
  ])("of a tier is reserved where that tier may serve the request: %s", async (_, more, tenths) => {
    const body = { ...BODY, ...more };
    const { admission } = await settle(body, plain({ model: "cheap" }));
    const roundedUp = (reservationOf(body) * tenths + 9n * MICRO) / 10n;
    expect(admission?.reservedNanoUsd).toBe(roundedUp - (roundedUp % MICRO));
  });

  it("is checked for the model that answered too", async () => {
    const { settlement } = await settle({ ...BODY, service_tier: "priority" }, plain({ model: "dear" }));
    expect(settlement).toMatchObject({ costNanoUsd: 3_500n * MICRO, billedModel: "dear" });
  });

  it("is refused by a budget that it does not fit into, before anything is sent", async () => {
    const small = () => fakeBudget(3_000n * MICRO);
    expect((await settle(BODY, plain({}), small())).refusal).toBeUndefined();
    const { refusal } = await settle({ ...BODY, web_search_options: {} }, plain({}), small());
    expect(refusal).toMatchObject({ status: 402, code: "budget_exceeded" });
  });
});

describe("a charge beyond the reservation", () => {
  const ERROR = expect.objectContaining({
    msg: "charge is a multiple of the reservation",
    costNanoUsd: "1000004000",
  }) as unknown;

  it("is recorded in full, and an alarm from twice the reservation on", async () => {
    const far = await settle(BODY, plain({ model: "cheap" }, { prompt_tokens: 1_000_000, completion_tokens: 2 }));
    expect(far.settlement).toMatchObject({ costNanoUsd: 1_000_004n * MICRO });
    expect(far.logged).toContainEqual(ERROR);
    expect(far.logged.map(({ level }) => level)).toContain("error");
    const near = await settle(
      { ...BODY, service_tier: "default" },
      plain({ model: "cheap" }, { prompt_tokens: 200, completion_tokens: 2 }),
    );
    expect(near.logged.map(({ msg }) => msg)).toEqual(["charge exceeds reservation"]);
    const within = await settle(BODY, plain({ model: "cheap" }));
    expect(within.logged).toEqual([]);
  });
});
