import { describe, expect, it } from "vitest";
import { askedServices } from "./asked-services.ts";
import { parseRequest } from "./parse-request.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";

const BODY = { model: "m", messages: [{ role: "user", content: "hi" }] };
const NOTHING = { tiers: [], modalities: ["text"], hostedTools: [] };

async function askedOf(more: object) {
  return askedServices(
    await parseRequest(CHAT, Buffer.from(JSON.stringify({ ...BODY, ...more })), new AbortController().signal),
  );
}

describe("what a request asks for", () => {
  it.each<[object, Partial<typeof NOTHING> | object]>([
    [{}, {}],
    [{ service_tier: null, modalities: null, audio: null, tools: null, web_search_options: null }, {}],
    [{ service_tier: "flex" }, { tiers: ["flex"] }],
    [{ speed: "fast", service_tier: "auto" }, { tiers: ["fast", "auto"] }],
    [{ modalities: ["text", "audio"], audio: { voice: "a" } }, { modalities: ["text", "audio", "audio"] }],
    [{ audio: { voice: "a" } }, { modalities: ["audio"] }],
    [{ modalities: [] }, { modalities: ["text"] }],
    [{ response_modalities: ["image"] }, { modalities: ["image"] }],
    [{ web_search_options: {} }, { hostedTools: ["web_search"] }],
    [{ enable_search: true }, { hostedTools: ["web_search"] }],
    [{ enable_search: false, search_mode: "web", disable_search: false }, {}],
    [{ mcp_servers: [{ url: "https://x" }] }, { hostedTools: ["mcp"] }],
    [{ code_execution: true }, { hostedTools: ["code_interpreter"] }],
    [
      {
        tools: [
          { type: "function", function: { name: "web_search" } },
          { type: "custom", custom: {} },
        ],
      },
      {},
    ],
    [{ tools: [{ type: "web_search_preview" }] }, { hostedTools: ["web_search"] }],
    [{ tools: [{ type: "web_search_preview_2025_03_11" }] }, { hostedTools: ["web_search"] }],
    [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, { hostedTools: ["web_search"] }],
    [{ tools: [{ type: "code_execution_20250522" }] }, { hostedTools: ["code_interpreter"] }],
    [{ tools: [{ google_search: {} }] }, { hostedTools: ["web_search"] }],
    [{ tools: [{ type: "computer_use_preview" }, { type: "mcp" }] }, { hostedTools: ["computer_use", "mcp"] }],
  ])("is read from %j", async (more, asked) => expect(await askedOf(more)).toEqual({ ...NOTHING, ...asked }));

  it.each<[object, object]>([
    [{ Service_Tier: "auto" }, { tiers: [""] }],
    [{ "service-tier": "auto" }, { tiers: [""] }],
    [{ serviceTier: "auto", service_tier: "auto" }, { tiers: ["", "auto"] }],
    [{ " service_tier ": "auto" }, { tiers: [""] }],
    [{ service_tier: ["auto"] }, { tiers: [""] }],
    [{ service_tier: { value: "auto" } }, { tiers: [""] }],
    [{ modalities: "text" }, { modalities: [""] }],
    [{ modalities: [["text"]] }, { modalities: [""] }],
    [{ plugins: [{ id: "web" }] }, { hostedTools: [""] }],
    [{ tools: [{ type: "Web_Search" }] }, { hostedTools: [""] }],
    [{ tools: [{ type: "web_search " }] }, { hostedTools: [""] }],
    [{ tools: [{ type: "teleport" }] }, { hostedTools: [""] }],
    [{ tools: { type: "web_search" } }, { hostedTools: [""] }],
    [{ tools: ["web_search"] }, { hostedTools: [""] }],
  ])("is on no list where it is written otherwise: %j", async (more, asked) =>
    expect(await askedOf(more)).toEqual({ ...NOTHING, ...asked }),
  );

  it.each([
    '"service_tier":"auto","service_tier":"flex"',
    '"modalities":["text"],"Modalities":["audio"]',
    '"service\\u017ftier":"a"',
  ])("is refused where it is given twice or in other letters: %s", async (members) => {
    const json = `{"model":"m","messages":[{"role":"user","content":"hi"}],${members}}`;
    await expect(parseRequest(CHAT, Buffer.from(json), new AbortController().signal)).rejects.toThrow(
      /given twice|ASCII/,
    );
  });
});
