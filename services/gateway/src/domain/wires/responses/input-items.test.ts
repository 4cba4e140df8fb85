import { describe, expect, it } from "vitest";
import { boundTokens } from "../../request/token-bounds.ts";
import { parseRequest } from "../../request/parse-request.ts";
import type { WireName } from "../wire-name.ts";
import { RESPONSES } from "./responses-wire.ts";

const REASONING = { type: "reasoning", id: "rs_1", summary: [] };
const SAID = { ...REASONING, summary: [{ type: "summary_text", text: "short" }] };

async function boundOf(item: object, wire: WireName = "responses"): Promise<number> {
  const body = Buffer.from(JSON.stringify({ model: "m", input: [item] }));
  const request = await parseRequest(RESPONSES, body, new AbortController().signal);
  const model = { id: "m", wires: new Set([wire]), defaultOutputTokens: 1, tokenizer: undefined };
  return boundTokens(request, model).inputTokensMax;
}

describe("reasoning in the input", () => {
  it.each([
    REASONING,
    { ...REASONING, encrypted_content: null },
    { ...REASONING, encrypted_content: "" },
    SAID,
    { type: "item_reference", id: "rs_1" },
  ])("counts as a file if the provider may fill it in by its id: %j", async (item) => {
    expect(await boundOf(item)).toBeGreaterThan(1_000_000);
  });

  it.each([
    { ...REASONING, encrypted_content: "gAAA" },
    { type: "reasoning", summary: SAID.summary },
  ])("counts by its texts if it says all: %j", async (item) => {
    expect(await boundOf(item)).toBeLessThan(1_000);
  });

  it("counts by its texts where it is translated, and its id is left out", async () => {
    expect(await boundOf(SAID, "chat")).toBeLessThan(1_000);
  });
});
