import type { GuardrailSpec } from "@routeplane/guardrails";
import { afterEach, describe, expect, it } from "vitest";
import { type GuardedGateway, startGuardedGateway } from "./guarded-gateway.ts";
import { sendJson } from "./fake-provider.ts";

/** The configuration: vendor/gpt-4o, vendor/gpt-mini, other/gpt-4o. */

let gateway: GuardedGateway | undefined;
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

async function start(...specs: readonly GuardrailSpec[]): Promise<GuardedGateway> {
  gateway = await startGuardedGateway({ specs, answer: (response) => sendJson(response, 200, { choices: [] }) });
  return gateway;
}

const call = async (gateway: GuardedGateway, model: string): Promise<number> =>
  (await gateway.post("/v1/chat/completions", { model, messages: [{ role: "user", content: "x" }] })).status;

async function get(gateway: GuardedGateway, path: string) {
  const response = await fetch(gateway.url + path, { headers: { authorization: "Bearer rp_x" } });
  return {
    status: response.status,
    body: (await response.json()) as { data: { id: string }[]; id: string; error: { code: string } },
  };
}

describe("a model rule", () => {
  const NAMES = ["gpt-4o", "GPT-4O", " gpt-4o\t", "vendor/gpt-4o", "Vendor/GPT-4o ", "other/gpt-4o", " OTHER/gpt-4O"];

  it.each(NAMES)("is judged on the resolved model, however it is written: %j", async (name) => {
    expect(await call(await start({ modelDeny: [" GPT-4o "] }), name)).toBe(403);
    expect(gateway?.received).toEqual([]);
    await gateway?.stop();
    expect(await call(await start({ modelAllow: ["gpt-4*"] }), name)).toBe(200);
  });

  it("distinguishes models with the same id at two providers, however the client names them", async () => {
    const gateway = await start({ modelDeny: ["other/gpt-4o"] });
    for (const name of ["gpt-4o", "vendor/gpt-4o"]) expect(await call(gateway, name)).toBe(200);
    for (const name of ["other/gpt-4o", "Other/GPT-4O"]) expect(await call(gateway, name)).toBe(403);
  });

  it("is composed over all guardrails: allow-lists intersect", async () => {
    const gateway = await start(
      { modelAllow: ["gpt-4o", "gpt-mini"] },
      { modelAllow: ["vendor/*"] },
      { modelDeny: ["*mini"] },
    );
    expect(await call(gateway, "gpt-4o")).toBe(200);
    expect(await call(gateway, "gpt-mini")).toBe(403);
    expect(await call(gateway, "other/gpt-4o")).toBe(403);
  });

  it("hides the models that it denies from the list of models, as if they did not exist", async () => {
    const gateway = await start({ modelAllow: ["gpt-4o"] });
    expect((await get(gateway, "/v1/models")).body.data.map(({ id }) => id)).toEqual(["gpt-4o", "other/gpt-4o"]);
    expect((await get(gateway, "/v1/models/gpt-4o")).body.id).toBe("gpt-4o");
    const hidden = await get(gateway, "/v1/models/gpt-mini");
    const unknown = await get(gateway, "/v1/models/gpt-none");
    expect([hidden.status, unknown.status]).toEqual([404, 404]);
    expect(JSON.stringify(hidden.body).replaceAll("gpt-mini", "")).toBe(
      JSON.stringify(unknown.body).replaceAll("gpt-none", ""),
    );
  });

  it("allows nothing with an empty list", async () => {
    const gateway = await start({ modelAllow: [] });
    expect(await call(gateway, "gpt-4o")).toBe(403);
    expect((await get(gateway, "/v1/models")).body.data).toEqual([]);
  });
});
