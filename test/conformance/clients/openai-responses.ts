import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { expect } from "vitest";
import { z } from "zod";
import { ANSWER, CITY, PNG, prompt, RECORD, RETRY_AFTER_SECS, SYSTEM, TOOL, THOUGHT, weatherOf } from "../scenarios.ts";
import { STREAM_ERROR } from "../upstream/turn.ts";
import { type Client, collect, expectUsage, failureOf, MAX_TOKENS, type Target } from "./client.ts";

type Responses = typeof OpenAI.Responses.prototype;
type Input = OpenAI.Responses.ResponseInputItem;

function responsesOf({ url, apiKey }: Target): Responses {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 }).responses;
}

function body({ model }: Target, scenario: string) {
  return { model, input: prompt(scenario), max_output_tokens: MAX_TOKENS, store: false };
}

const tool = {
  type: "function" as const,
  name: TOOL.name,
  description: TOOL.description,
  parameters: TOOL.schema,
  strict: true,
};

type Response = OpenAI.Responses.Response;

/** Response of a request, whole or as the last event of its stream. */
async function responseOf(target: Target, asked: OpenAI.Responses.ResponseCreateParamsNonStreaming, stream: boolean) {
  if (!stream) return responsesOf(target).create(asked);
  const events = await collect(await responsesOf(target).create({ ...asked, stream }));
  const done = events.flatMap((event) => (event.type === "response.output_item.done" ? [event.item] : []));
  const last = events.at(-1);
  if (last?.type !== "response.completed") throw new Error(`the stream ends with ${JSON.stringify(last)}`);
  expect(done).toEqual(last.response.output);
  return last.response;
}

function textOf({ output }: Pick<Response, "output">): string {
  const parts = output.flatMap((item) => (item.type === "message" ? item.content : []));
  return parts.map((part) => (part.type === "output_text" ? part.text : "")).join("");
}

/** Runs a scenario with tools to its end. @returns the text of the last answer, and the items of the conversation */
async function run(target: Target, scenario: string, stream: boolean, more: object = {}) {
  const input: Input[] = [{ role: "user", content: prompt(scenario) }];
  for (let round = 0; round < 3; round++) {
    const answer = await responseOf(
      target,
      { ...body(target, scenario), input: [...input], tools: [tool], ...more },
      stream,
    );
    input.push(...(answer.output as Input[]));
    const calls = answer.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) return { text: textOf(answer), items: input };
    for (const { call_id, arguments: text } of calls) {
      const { city } = JSON.parse(text) as { city: string };
      input.push({ type: "function_call_output", call_id, output: weatherOf(city) });
    }
  }
  throw new Error("the model called tools without end");
}

async function think(target: Target, stream: boolean): Promise<void> {
  const reasoning = { effort: "low", summary: "auto" };
  const { text, items } = await run(target, "thinking", stream, {
    reasoning,
    include: ["reasoning.encrypted_content"],
  });
  expect(text).toBe(ANSWER);
  if (items.some(({ type }) => type === "reasoning")) {
    expect(items.find(({ type }) => type === "reasoning")).toMatchObject({ summary: [{ text: THOUGHT }] });
  }
}

/** The package `openai` with responses and their streaming helper. */
export const openAiResponses: Client = {
  name: "openai responses",
  checks: {
    async text(target) {
      const { output_text, status, usage, model } = await responsesOf(target).create(body(target, "text"));
      expect({ output_text, status, model }).toEqual({ output_text: ANSWER, status: "completed", model: target.model });
      expectUsage(usage?.input_tokens, usage?.input_tokens_details.cached_tokens, usage?.output_tokens);
    },
    async stream(target) {
      const stream = responsesOf(target).stream(body(target, "text"));
      const pieces: string[] = [];
      stream.on("response.output_text.delta", ({ delta }) => pieces.push(delta));
      const { output_text, status, usage } = await stream.finalResponse();
      expect({ output_text, status }).toEqual({ output_text: ANSWER, status: "completed" });
      expect(pieces.length).toBeGreaterThan(3);
      expect(pieces.join("")).toBe(ANSWER);
      expectUsage(usage?.input_tokens, usage?.input_tokens_details.cached_tokens, usage?.output_tokens);
    },
    async system(target) {
      const asked = { ...body(target, "system"), instructions: SYSTEM };
      expect((await responsesOf(target).create(asked)).output_text).toBe(ANSWER);
    },
    async history(target) {
      const input: Input[] = [
        { role: "user", content: prompt("history") },
        { role: "assistant", content: ANSWER },
        { role: "user", content: "Thanks." },
      ];
      const { output_text } = await responsesOf(target).create({ ...body(target, "history"), input });
      expect(output_text).toBe("You are welcome.");
    },
    async length(target) {
      const answer = await responsesOf(target).create({ ...body(target, "length"), max_output_tokens: 20 });
      expect(answer).toMatchObject({
        output_text: "Zürich has",
        status: "incomplete",
        incomplete_details: { reason: "max_output_tokens" },
      });
    },
    async image(target) {
      const input: Input[] = [
        {
          role: "user",
          content: [
            { type: "input_text", text: prompt("image") },
            { type: "input_image", image_url: `data:image/png;base64,${PNG}`, detail: "auto" },
          ],
        },
      ];
      expect((await responsesOf(target).create({ ...body(target, "image"), input })).output_text).toBe("A red pixel.");
    },
    async schema(target) {
      const text = { format: zodTextFormat(z.object({ city: z.string(), celsius: z.number() }), "weather") };
      expect((await responsesOf(target).parse({ ...body(target, "schema"), text })).output_parsed).toEqual(RECORD);
    },
    async tool(target) {
      expect((await run(target, "tool", false)).text).toBe(ANSWER);
    },
    async "tool stream"(target) {
      expect((await run(target, "tool", true)).text).toBe(ANSWER);
    },
    async parallel(target) {
      expect((await run(target, "parallel", false)).text).toBe(ANSWER);
    },
    async "parallel stream"(target) {
      expect((await run(target, "parallel", true)).text).toBe(ANSWER);
    },
    async forced(target) {
      const tool_choice = { type: "function" as const, name: TOOL.name };
      const { output } = await responsesOf(target).create({ ...body(target, "forced"), tools: [tool], tool_choice });
      const [call] = output;
      if (call?.type !== "function_call") throw new Error("the answer has no call");
      expect(JSON.parse(call.arguments)).toEqual({ city: CITY });
    },
    thinking: (target) => think(target, false),
    "thinking stream": (target) => think(target, true),
    async "rate limit"(target) {
      const error = await failureOf(responsesOf(target).create(body(target, "rate-limit")));
      expect(error).toBeInstanceOf(OpenAI.RateLimitError);
      expect((error as InstanceType<typeof OpenAI.RateLimitError>).headers?.get("retry-after")).toBe(
        `${RETRY_AFTER_SECS}`,
      );
    },
    async "broken stream"(target) {
      const stream = await responsesOf(target).create({ ...body(target, "broken-stream"), stream: true });
      const events = await collect(stream).catch((error: unknown) => error);
      expect(JSON.stringify(events instanceof Error ? events.message : events)).toContain(STREAM_ERROR);
    },
  },
};
