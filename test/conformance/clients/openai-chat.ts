import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { expect } from "vitest";
import { z } from "zod";
import { ANSWER, CITY, PNG, prompt, RECORD, RETRY_AFTER_SECS, SYSTEM, THOUGHT, TOOL, weatherOf } from "../scenarios.ts";
import { STREAM_ERROR } from "../upstream/turn.ts";
import { type Client, collect, expectUsage, failureOf, MAX_TOKENS, type Target } from "./client.ts";

function clientOf({ url, apiKey }: Target): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
}

function body({ model }: Target, scenario: string) {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: prompt(scenario) }];
  return { model, messages, max_completion_tokens: MAX_TOKENS };
}

const tool = {
  type: "function" as const,
  function: { name: TOOL.name, description: TOOL.description, parameters: TOOL.schema },
};
const runnable = {
  ...tool,
  function: {
    ...tool.function,
    parameters: structuredClone<object>(TOOL.schema),
    parse: (text: string) => JSON.parse(text) as { city: string },
    function: ({ city }: { city: string }) => weatherOf(city),
  },
};

/** Runs a scenario with tools to its end. @returns every answer of the model */
async function run(target: Target, scenario: string, stream: boolean): Promise<string | null> {
  const { completions } = clientOf(target).chat;
  const asked = { ...body(target, scenario), tools: [runnable] };
  const runner = stream ? completions.runTools({ ...asked, stream }) : completions.runTools(asked);
  return runner.finalContent();
}

/** Lets the model reason and call a tool, and sends its message back unchanged: `runTools` leaves out unknown members. */
async function think(target: Target, stream: boolean): Promise<void> {
  const { completions } = clientOf(target).chat;
  const asked = { ...body(target, "thinking"), tools: [tool], reasoning_effort: "low" as const };
  const { choices } = stream ? await completions.stream(asked).finalChatCompletion() : await completions.create(asked);
  const message = choices[0]?.message;
  const [call] = message?.tool_calls ?? [];
  if (message === undefined || call?.type !== "function") throw new Error("the answer has no call");
  // In a stream, the helper keeps only the last piece of an unknown text.
  if (!stream) expect(message).toMatchObject({ reasoning_content: THOUGHT });
  const { city } = JSON.parse(call.function.arguments) as { city: string };
  const { parsed: _parsed, ...said } = message as OpenAI.ChatCompletionMessage & { parsed?: null };
  const result = { role: "tool" as const, tool_call_id: call.id, content: weatherOf(city) };
  const answer = await completions.create({ ...asked, messages: [...asked.messages, said, result] });
  expect(answer.choices[0]?.message.content).toBe(ANSWER);
}

/** The package `openai` with chat completions, their streaming and tool-running helpers. */
export const openAiChat: Client = {
  name: "openai chat",
  checks: {
    async text(target) {
      const { choices, usage, model } = await clientOf(target).chat.completions.create(body(target, "text"));
      expect(choices).toMatchObject([
        { index: 0, finish_reason: "stop", message: { role: "assistant", content: ANSWER } },
      ]);
      expect(model).toBe(target.model);
      expectUsage(usage?.prompt_tokens, usage?.prompt_tokens_details?.cached_tokens, usage?.completion_tokens);
    },
    async stream(target) {
      const options = { stream_options: { include_usage: true } };
      const stream = clientOf(target).chat.completions.stream({ ...body(target, "text"), ...options });
      const pieces: string[] = [];
      stream.on("content", (delta) => pieces.push(delta));
      expect(await stream.finalContent()).toBe(ANSWER);
      expect(pieces.length).toBeGreaterThan(3);
      expect(pieces.join("")).toBe(ANSWER);
      const { usage } = await stream.finalChatCompletion();
      expectUsage(usage?.prompt_tokens, usage?.prompt_tokens_details?.cached_tokens, usage?.completion_tokens);
    },
    async system(target) {
      const { messages, ...rest } = body(target, "system");
      const asked = [{ role: "system" as const, content: SYSTEM }, ...messages];
      const { choices } = await clientOf(target).chat.completions.create({ ...rest, messages: asked });
      expect(choices[0]?.message.content).toBe(ANSWER);
    },
    async history(target) {
      const { messages, ...rest } = body(target, "history");
      const asked: OpenAI.ChatCompletionMessageParam[] = [
        ...messages,
        { role: "assistant", content: ANSWER },
        { role: "user", content: "Thanks." },
      ];
      const { choices } = await clientOf(target).chat.completions.create({ ...rest, messages: asked });
      expect(choices[0]?.message.content).toBe("You are welcome.");
    },
    async length(target) {
      const bound = { max_completion_tokens: 20 };
      const { choices } = await clientOf(target).chat.completions.create({ ...body(target, "length"), ...bound });
      expect(choices).toMatchObject([{ finish_reason: "length", message: { content: "Zürich has" } }]);
    },
    async image(target) {
      const url = `data:image/png;base64,${PNG}`;
      const content = [
        { type: "text" as const, text: prompt("image") },
        { type: "image_url" as const, image_url: { url } },
      ];
      const asked = { ...body(target, "image"), messages: [{ role: "user" as const, content }] };
      const { choices } = await clientOf(target).chat.completions.create(asked);
      expect(choices[0]?.message.content).toBe("A red pixel.");
    },
    async schema(target) {
      const response_format = zodResponseFormat(z.object({ city: z.string(), celsius: z.number() }), "weather");
      const { choices } = await clientOf(target).chat.completions.parse({ ...body(target, "schema"), response_format });
      expect(choices[0]?.message.parsed).toEqual(RECORD);
    },
    async tool(target) {
      expect(await run(target, "tool", false)).toBe(ANSWER);
    },
    async "tool stream"(target) {
      expect(await run(target, "tool", true)).toBe(ANSWER);
    },
    async parallel(target) {
      expect(await run(target, "parallel", false)).toBe(ANSWER);
    },
    async "parallel stream"(target) {
      expect(await run(target, "parallel", true)).toBe(ANSWER);
    },
    async forced(target) {
      const { choices } = await clientOf(target).chat.completions.create({
        ...body(target, "forced"),
        tools: [tool],
        tool_choice: { type: "function", function: { name: TOOL.name } },
      });
      const [call] = choices[0]?.message.tool_calls ?? [];
      expect(choices[0]?.finish_reason).toBe("tool_calls");
      if (call?.type !== "function") throw new Error("the answer has no call");
      expect(JSON.parse(call.function.arguments)).toEqual({ city: CITY });
    },
    thinking: (target) => think(target, false),
    "thinking stream": (target) => think(target, true),
    async "rate limit"(target) {
      const error = await failureOf(clientOf(target).chat.completions.create(body(target, "rate-limit")));
      expect(error).toBeInstanceOf(OpenAI.RateLimitError);
      expect((error as InstanceType<typeof OpenAI.RateLimitError>).headers?.get("retry-after")).toBe(
        `${RETRY_AFTER_SECS}`,
      );
    },
    async "broken stream"(target) {
      const stream = await clientOf(target).chat.completions.create({ ...body(target, "broken-stream"), stream: true });
      const error = await failureOf(collect(stream));
      expect(error).toBeInstanceOf(OpenAI.APIError);
      expect(error.message).toContain(STREAM_ERROR);
    },
  },
};
