import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { expect } from "vitest";
import { z } from "zod";
import { ANSWER, CITY, PNG, prompt, RECORD, RETRY_AFTER_SECS, SYSTEM, TOOL, THOUGHT, weatherOf } from "../scenarios.ts";
import { STREAM_ERROR } from "../upstream/turn.ts";
import { type Client, collect, expectUsage, failureOf, MAX_TOKENS, type Target } from "./client.ts";

function clientOf({ url, apiKey }: Target): Anthropic {
  return new Anthropic({ baseURL: url, apiKey, authToken: null, maxRetries: 0 });
}

function body({ model }: Target, scenario: string) {
  const messages: Anthropic.MessageParam[] = [{ role: "user", content: prompt(scenario) }];
  return { model, messages, max_tokens: MAX_TOKENS };
}

const tool = { name: TOOL.name, description: TOOL.description, input_schema: { ...TOOL.schema, required: ["city"] } };
const runnable = betaTool({
  name: TOOL.name,
  description: TOOL.description,
  inputSchema: TOOL.schema,
  run: ({ city }) => weatherOf(city),
});

function textOf(content: readonly (Anthropic.ContentBlock | Anthropic.Beta.BetaContentBlock)[]): string {
  return content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

/** Runs a scenario with tools to its end. @returns the text of the last answer, and the thoughts of the first */
async function run(target: Target, scenario: string, stream: boolean, more: object = {}) {
  const { messages } = clientOf(target).beta;
  const asked = {
    ...body(target, scenario),
    messages: [{ role: "user" as const, content: prompt(scenario) }],
    tools: [runnable],
    ...more,
  };
  const runner = stream ? messages.toolRunner({ ...asked, stream }) : messages.toolRunner({ ...asked, stream: false });
  const { content } = await runner.runUntilDone();
  const [, answer] = runner.params.messages;
  const first = typeof answer?.content === "string" ? [] : (answer?.content ?? []);
  return {
    text: textOf(content),
    thoughts: first.filter(({ type }) => type === "thinking"),
  };
}

async function think(target: Target, stream: boolean): Promise<void> {
  const thinking = { type: "enabled", budget_tokens: 1_024 };
  const { text, thoughts } = await run(target, "thinking", stream, { thinking });
  expect(text).toBe(ANSWER);
  if (thoughts.length > 0) expect(thoughts).toMatchObject([{ thinking: THOUGHT }]);
}

function expectMessageUsage(usage: Anthropic.Usage): void {
  const { input_tokens, cache_read_input_tokens: read, cache_creation_input_tokens: written, output_tokens } = usage;
  expectUsage(input_tokens + (read ?? 0) + (written ?? 0), read, output_tokens);
}

/** The package `@anthropic-ai/sdk` with messages, their streaming helper and tool runner. */
export const anthropic: Client = {
  name: "anthropic messages",
  checks: {
    async text(target) {
      const { content, stop_reason, usage, model } = await clientOf(target).messages.create(body(target, "text"));
      expect({ text: textOf(content), stop_reason, model }).toEqual({
        text: ANSWER,
        stop_reason: "end_turn",
        model: target.model,
      });
      expectMessageUsage(usage);
    },
    async stream(target) {
      const stream = clientOf(target).messages.stream(body(target, "text"));
      const pieces: string[] = [];
      stream.on("text", (delta) => pieces.push(delta));
      const { content, stop_reason, usage } = await stream.finalMessage();
      expect({ text: textOf(content), stop_reason }).toEqual({ text: ANSWER, stop_reason: "end_turn" });
      expect(pieces.length).toBeGreaterThan(3);
      expectMessageUsage(usage);
    },
    async system(target) {
      const system = [{ type: "text" as const, text: SYSTEM, cache_control: { type: "ephemeral" as const } }];
      const { content } = await clientOf(target).messages.create({ ...body(target, "system"), system });
      expect(textOf(content)).toBe(ANSWER);
    },
    async history(target) {
      const { messages, ...rest } = body(target, "history");
      const asked: Anthropic.MessageParam[] = [
        ...messages,
        { role: "assistant", content: [{ type: "text", text: ANSWER }] },
        { role: "user", content: "Thanks." },
      ];
      const { content } = await clientOf(target).messages.create({ ...rest, messages: asked });
      expect(textOf(content)).toBe("You are welcome.");
    },
    async length(target) {
      const { content, stop_reason } = await clientOf(target).messages.create({
        ...body(target, "length"),
        max_tokens: 20,
      });
      expect({ text: textOf(content), stop_reason }).toEqual({ text: "Zürich has", stop_reason: "max_tokens" });
    },
    async image(target) {
      const content: Anthropic.ContentBlockParam[] = [
        { type: "text", text: prompt("image") },
        { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } },
      ];
      const asked = { ...body(target, "image"), messages: [{ role: "user" as const, content }] };
      expect(textOf((await clientOf(target).messages.create(asked)).content)).toBe("A red pixel.");
    },
    async schema(target) {
      const format = zodOutputFormat(z.object({ city: z.string(), celsius: z.number() }));
      const asked = { ...body(target, "schema"), output_config: { format } };
      expect((await clientOf(target).messages.parse(asked)).parsed_output).toEqual(RECORD);
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
      const { content, stop_reason } = await clientOf(target).messages.create({
        ...body(target, "forced"),
        tools: [tool],
        tool_choice: { type: "tool", name: TOOL.name },
      });
      expect(stop_reason).toBe("tool_use");
      expect(content).toMatchObject([{ type: "tool_use", name: TOOL.name, input: { city: CITY } }]);
    },
    thinking: (target) => think(target, false),
    "thinking stream": (target) => think(target, true),
    async "rate limit"(target) {
      const error = await failureOf(clientOf(target).messages.create(body(target, "rate-limit")));
      expect(error).toBeInstanceOf(Anthropic.RateLimitError);
      expect((error as InstanceType<typeof Anthropic.RateLimitError>).headers?.get("retry-after")).toBe(
        `${RETRY_AFTER_SECS}`,
      );
    },
    async "broken stream"(target) {
      const stream = await clientOf(target).messages.create({ ...body(target, "broken-stream"), stream: true });
      const error = await failureOf(collect(stream));
      expect(error).toBeInstanceOf(Anthropic.APIError);
      expect(error.message).toContain(STREAM_ERROR);
    },
  },
};
