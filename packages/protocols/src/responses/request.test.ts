import { describe, expect, it } from "vitest";
import { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { NeutralRequest, Turn } from "../model.ts";
import { Untranslatable } from "../untranslatable.ts";
import { wholeHead } from "../whole-head.ts";
import { responsesCodec } from "./codec.ts";

/** Reads a request, with the members that every request has. */
function read(body: JsonObject, dropped = new Dropped()): NeutralRequest {
  return responsesCodec.readRequest({ model: "m", input: "hi", store: false, ...body }, dropped);
}

function droppedFrom(body: JsonObject): readonly string[] {
  const dropped = new Dropped();
  read(body, dropped);
  return dropped.names;
}

/** Path that a refusal names. */
function refusedAt(body: JsonObject): string {
  try {
    read(body);
  } catch (error) {
    if (error instanceof Untranslatable) return error.param;
    throw error;
  }
  return "nothing";
}

const write = (request: Partial<NeutralRequest>, dropped = new Dropped(), reasons?: boolean): JsonObject =>
  responsesCodec.writeRequest(
    { turns: [], tools: [], stream: false, options: {}, ...request },
    { model: "m", outputTokensMax: 9, ...(reasons !== undefined && { reasons }) },
    dropped,
  );

/** Turns of a request after writing it on this wire and reading it back. */
const rewritten = (turns: readonly Turn[]): readonly Turn[] => read(write({ turns })).turns;

describe("a request of the responses wire", () => {
  it("has its instructions, messages, calls and results as turns, in their order", () => {
    const { turns } = read({
      instructions: "be brief",
      input: [
        { role: "developer", content: "no jokes" },
        { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] },
        { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "hm" }], encrypted_content: "gAAA" },
        {
          type: "message",
          role: "assistant",
          id: "msg_1",
          content: [{ type: "output_text", text: "a", annotations: [] }],
        },
        { type: "function_call", id: "fc_1", call_id: "c1", name: "f", arguments: '{"n":12345678901234567890}' },
        { type: "custom_tool_call", call_id: "c2", name: "g", input: "free" },
        { type: "function_call_output", call_id: "c1", output: "one" },
        { type: "custom_tool_call_output", call_id: "c2", output: [{ type: "input_text", text: "two" }] },
        { role: "user", content: "and?" },
      ],
    });
    expect(turns.map(({ role, parts }) => [role, ...parts.map(({ type }) => type)])).toEqual([
      ["system", "text"],
      ["developer", "text"],
      ["user", "text"],
      ["assistant", "thinking", "text", "tool_call", "tool_call"],
      ["user", "tool_result", "tool_result"],
      ["user", "text"],
    ]);
    expect(turns[3]?.parts).toMatchObject([
      { text: "hm", seal: { wire: "responses", kind: "encrypted", value: "gAAA", id: "rs_1" }, at: "input[2]" },
      { text: "a", at: "input[3].content[0]" },
      { id: "c1", name: "f", kind: "function", arguments: '{"n":12345678901234567890}' },
      { id: "c2", name: "g", kind: "custom", arguments: "free" },
    ]);
  });

  it("has images and files by their bytes, addresses and ids", () => {
    const content = [
      { type: "input_image", image_url: "data:image/png;base64,AA==", detail: "low" },
      { type: "input_image", image_url: "https://a.example/b.png" },
      { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" },
      { type: "input_file", file_url: "https://a.example/c.pdf" },
      { type: "input_file", file_id: "file-1" },
    ];
    const { turns } = read({ input: [{ role: "user", content }] });
    expect(turns[0]?.parts).toMatchObject([
      { type: "image", source: { kind: "base64", mediaType: "image/png", data: "AA==" }, detail: "low" },
      { type: "image", source: { kind: "url", url: "https://a.example/b.png" } },
      { type: "document", source: { kind: "base64", mediaType: "application/pdf", data: "AA==" }, filename: "a.pdf" },
      { type: "document", source: { kind: "url", url: "https://a.example/c.pdf" } },
      { type: "document", source: { kind: "file", id: "file-1" } },
    ]);
  });

  it("reports that nothing is stored, unless the client opts out, and refuses a client that relies on storage", () => {
    expect(droppedFrom({ store: undefined })).toEqual(["store"]);
    expect(droppedFrom({ store: null })).toEqual(["store"]);
    expect(droppedFrom({ store: false })).toEqual([]);
    expect(refusedAt({ store: true })).toBe("store");
    expect(refusedAt({ previous_response_id: "resp_1" })).toBe("previous_response_id");
    expect(refusedAt({ conversation: { id: "conv_1" } })).toBe("conversation");
    expect(refusedAt({ prompt: { id: "pmpt_1" } })).toBe("prompt");
    expect(refusedAt({ background: true })).toBe("background");
    expect(refusedAt({ input: [{ type: "item_reference", id: "msg_1" }] })).toBe("input[0]");
    expect(refusedAt({ input: [{ id: "msg_1" }] })).toBe("input[0]");
    expect(droppedFrom({ previous_response_id: null, background: false })).toEqual([]);
  });

  it("refuses members that no other wire has, by name", () => {
    expect(refusedAt({ tools: [{ type: "web_search" }] })).toBe("tools[0].type");
    expect(refusedAt({ tools: [{ type: "function", name: "f", defer_loading: true }] })).toBe("tools[0].defer_loading");
    expect(refusedAt({ tools: [{ type: "custom", name: "f", allowed_callers: ["programmatic"] }] })).toBe(
      "tools[0].allowed_callers",
    );
    expect(refusedAt({ tool_choice: { type: "allowed_tools", mode: "auto", tools: [] } })).toBe("tool_choice.type");
    expect(refusedAt({ input: [{ type: "web_search_call", id: "ws_1" }] })).toBe("input[0].type");
    expect(refusedAt({ input: [{ role: "user", content: [{ type: "input_video" }] }] })).toBe(
      "input[0].content[0].type",
    );
    expect(refusedAt({ truncation: "auto" })).toBe("truncation");
    expect(refusedAt({ include: ["message.output_text.logprobs"] })).toBe("include[0]");
    expect(refusedAt({ reasoning: { mode: "pro" } })).toBe("reasoning.mode");
    expect(refusedAt({ text: { format: { type: "grammar" } } })).toBe("text.format.type");
    expect(refusedAt({ unheard_of: 1 })).toBe("unheard_of");
  });

  it("refuses values of the wrong type", () => {
    for (const value of [1, "text", [], [1], { a: 1 }, true, { type: {} }, JSON.parse('{"__proto__":{}}') as unknown]) {
      for (const name of ["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions", "store"]) {
        for (const wrapped of [
          value,
          [value],
          { format: value, effort: value },
          [{ role: "user", content: [value] }],
        ]) {
          expect(() => refusedAt({ [name]: wrapped })).not.toThrow();
        }
      }
    }
  });

  it("drops hints by name", () => {
    const hints = {
      include: ["reasoning.encrypted_content", "web_search_call.results"],
      max_tool_calls: 3,
      reasoning: { context: "all_turns" },
      safety_identifier: "a",
      user: "b",
      tools: [{ type: "function", name: "f", parameters: null, strict: null, output_schema: {} }],
      input: [
        { role: "assistant", phase: "commentary", content: [{ type: "output_text", text: "a", logprobs: [{}] }] },
        { role: "user", content: [{ type: "input_text", text: "b", prompt_cache_breakpoint: { ttl: "12h" } }] },
      ],
    };
    expect(droppedFrom(hints).toSorted()).toEqual([
      "include[]",
      "input[].content[].logprobs",
      "input[].content[].prompt_cache_breakpoint.ttl",
      "input[].phase",
      "max_tool_calls",
      "reasoning.context",
      "tools[].output_schema",
      "user",
    ]);
  });

  it("asks for sealed reasoning, no storage, and tools as strict as the client's", () => {
    const tools = [{ kind: "function" as const, name: "f", at: "tools[0]" }];
    const body = write({ tools, reasoning: { value: { effort: "high", wantsSummary: true }, at: "reasoning" } });
    expect(body).toEqual({
      model: "m",
      input: [],
      max_output_tokens: 9,
      store: false,
      reasoning: { effort: "high", summary: "auto" },
      include: ["reasoning.encrypted_content"],
      tools: [{ type: "function", name: "f", parameters: { type: "object", properties: {} }, strict: false }],
    });
  });

  it("sends no reasoning members to a model that does not reason, or may not be able to turn reasoning off", () => {
    const dropped = new Dropped();
    const reasoning = { value: { budgetTokens: 20_000 }, at: "thinking" };
    expect(write({ reasoning }, dropped, false)).not.toHaveProperty("reasoning");
    expect(dropped.names).toEqual(["thinking"]);
    expect(write({ reasoning })).toMatchObject({ reasoning: { effort: "high" } });
    expect(write({ reasoning: { value: { isEnabled: false }, at: "thinking" } })).not.toHaveProperty("include");
    expect(write({}, new Dropped(), true)).toMatchObject({ include: ["reasoning.encrypted_content"] });
  });

  it("refuses stop sequences, files of another provider, and audio", () => {
    expect(() => write({ stop: { value: ["END"], at: "stop" } })).toThrow(expect.objectContaining({ param: "stop" }));
    const file = { type: "image", source: { kind: "file", id: "file_1" }, at: "messages[0].content[0]" } as const;
    const audio = { type: "audio", data: "AA==", format: "wav", at: "messages[0].content[0]" } as const;
    for (const part of [file, audio]) {
      expect(() => write({ turns: [{ role: "user", parts: [part], at: "messages[0]" }] })).toThrow(Untranslatable);
    }
  });

  it("keeps turns unchanged when it is written and read", () => {
    const turns: readonly Turn[] = [
      { role: "system", parts: [{ type: "text", text: "be brief", at: "input[0].content[0]" }], at: "input[0]" },
      {
        role: "assistant",
        parts: [
          {
            type: "thinking",
            text: "hm",
            seal: { wire: "responses", kind: "encrypted", value: "gAAA", id: "rs_1" },
            at: "input[1]",
          },
          { type: "text", text: "a", at: "input[2].content[0]" },
          { type: "refusal", text: "no", at: "input[2].content[1]" },
          { type: "tool_call", id: "c1", name: "f", arguments: "{}", kind: "function", at: "input[3]" },
        ],
        at: "input[1]",
      },
      {
        role: "user",
        parts: [
          {
            type: "tool_result",
            callId: "c1",
            content: [
              { type: "text", text: "one", at: "input[4].output[0]" },
              {
                type: "image",
                source: { kind: "base64", mediaType: "image/png", data: "AA==" },
                detail: "auto",
                at: "input[4].output[1]",
              },
            ],
            isError: false,
            kind: "function",
            at: "input[4]",
          },
        ],
        at: "input[4]",
      },
    ];
    expect(rewritten(turns)).toEqual(turns);
  });

  it("drops reasoning that another upstream sealed, and returns it to that upstream", () => {
    const seal = { wire: "messages", kind: "signature", value: "sig.na=ture" } as const;
    const thinking = { type: "thinking", text: "hm", seal, at: "messages[1].content[0]" } as const;
    const dropped = new Dropped();
    expect(write({ turns: [{ role: "assistant", parts: [thinking], at: "messages[1]" }] }, dropped)["input"]).toEqual(
      [],
    );
    expect(dropped.names).toEqual(["messages[].content[]"]);
    const answer = { id: "msg_1", model: "m", parts: [thinking], stop: { reason: "end" } } as const;
    const { output } = responsesCodec.writeAnswer(wholeHead(answer, {}));
    expect(read({ input: output }).turns[0]?.parts).toEqual([{ ...thinking, at: "input[0]" }]);
  });
});
