import { describe, expect, it } from "vitest";
import { BODY, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import type { WireName } from "../wires/wire-name.ts";
import { type Capabilities, createModelDirectory, type Model } from "./model-directory.ts";
import { type FittedRequest, requireFit } from "./model-fit.ts";

const prices = [{ aboveInputTokens: 0, price: { inputPicoUsd: 1n, outputPicoUsd: 2n } }] as const;

const modelWith = (more: Partial<Model>): Model => ({
  provider: "p",
  id: "m",
  prices,
  priceVersion: "file:1",
  outputField: "max_tokens",
  ...more,
});

const requestWith = (more: Partial<FittedRequest>): FittedRequest => ({
  wire: { name: "chat" },
  hasTools: false,
  input: { media: [] },
  ...more,
});

describe("a request to a model", () => {
  it.each<[WireName, Model["wires"]]>([
    ["chat", undefined],
    ["messages", undefined],
    ["responses", new Set(["messages"])],
    ["embeddings", new Set(["chat", "embeddings"])],
  ])("of the wire %s is served where it can be", (name, wires) => {
    expect(() => requireFit(requestWith({ wire: { name } }), modelWith({ wires }))).not.toThrow();
  });

  it.each<[WireName, Model["wires"], RegExp]>([
    ["chat", new Set(["embeddings"]), /makes embeddings only: call it at \/v1\/embeddings/],
    ["messages", new Set(["embeddings"]), /embeddings only/],
    ["embeddings", undefined, /makes no embeddings: call it at \/v1\/chat\/completions/],
    ["embeddings", new Set(["messages"]), /makes no embeddings/],
  ])("of the wire %s is refused where it cannot be", (name, wires, message) => {
    expect(() => requireFit(requestWith({ wire: { name } }), modelWith({ wires }))).toThrow(
      expect.objectContaining({ code: "model_not_for_route", status: 400, param: "model" }),
    );
    expect(() => requireFit(requestWith({ wire: { name } }), modelWith({ wires }))).toThrow(message);
  });

  const image = requestWith({ input: { media: [{ kind: "image", size: undefined, detail: undefined }] } });
  const audio = requestWith({ input: { media: [{ kind: "file" }, { kind: "audio", seconds: 1 }] } });
  it.each<[string, FittedRequest, Capabilities, string, string]>([
    [
      "tools",
      requestWith({ hasTools: true }),
      { tools: false },
      "tools",
      "'tools' are given, and the model `m` takes no tools",
    ],
    ["an image", image, { images: false }, "messages", "'messages' has an image, and the model `m` takes no images"],
    ["audio", audio, { audio: false }, "messages", "'messages' has audio, and the model `m` takes no audio"],
    [
      "an image in items",
      { ...image, wire: { name: "responses" } },
      { images: false },
      "input",
      "'input' has an image",
    ],
  ])("with %s is refused by name if the model takes none", (_, request, capabilities, param, message) => {
    const refuse = () => requireFit(request, modelWith({ capabilities }));
    expect(refuse).toThrow(expect.objectContaining({ code: "not_supported_by_model", status: 400, param }));
    expect(refuse).toThrow(message);
    expect(() => requireFit(request, modelWith({}))).not.toThrow();
    expect(() => requireFit(request, modelWith({ capabilities: { documents: false } }))).not.toThrow();
  });

  it("with content of unknown kind passes: the model may take it", () => {
    const capabilities = { tools: false, images: false, audio: false, documents: false };
    const request = requestWith({ input: { media: [{ kind: "file" }, { kind: "text", bytes: 3 }] } });
    expect(() => requireFit(request, modelWith({ capabilities }))).not.toThrow();
  });
});

describe("a refusal of what a model does not serve", () => {
  const EMBEDDER = modelWith({ provider: "echo", id: "vectors", wires: new Set(["embeddings"]) });
  const TEXT_ONLY = modelWith({ provider: "echo", id: "text", capabilities: { tools: false, images: false } });
  const KEYLESS = modelWith({ provider: "echo", id: "keyless", unavailable: { variable: "SOME_API_KEY" } });
  const directory = createModelDirectory([EMBEDDER, TEXT_ONLY, KEYLESS]);
  const PNG =
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const TOOL = { type: "function", function: { name: "f", parameters: { type: "object" } } };

  it.each([
    ["vectors", {}, { code: "model_not_for_route", status: 400 }],
    ["text", { tools: [TOOL] }, { code: "not_supported_by_model", param: "tools" }],
    [
      "text",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: PNG } }] }] },
      { code: "not_supported_by_model", param: "messages" },
    ],
    [
      "keyless",
      {},
      {
        code: "provider_key_missing",
        status: 503,
        retryable: false,
        details: { variable: "SOME_API_KEY" },
        message: expect.stringContaining("set the environment variable SOME_API_KEY") as string,
      },
    ],
  ])("comes before the reservation: %s %j", async (model, more, refused) => {
    const { serve, budget, sent } = pipelineUnderTest({ overrides: { directory } });
    const { refusal } = await serve({ ...BODY, ...more, model });
    expect(refusal).toMatchObject(refused);
    expect(budget.calls.admit).toBe(0);
    expect(sent).toEqual([]);
  });
});
