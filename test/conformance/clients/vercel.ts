import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, isStepCount, jsonSchema, type LanguageModel, Output, streamText, tool } from "ai";
import { expect } from "vitest";
import {
  ANSWER,
  CITY,
  PNG,
  prompt,
  RECORD,
  RECORD_SCHEMA,
  RETRY_AFTER_SECS,
  SYSTEM,
  THOUGHT,
  TOOL,
  weatherOf,
} from "../scenarios.ts";
import { type Client, collect, expectUsage, failureOf, MAX_TOKENS, type Target } from "./client.ts";

type ModelOf = (target: Target) => LanguageModel;
type ProviderOptions = NonNullable<Parameters<typeof generateText>[0]["providerOptions"]>;

const tools = {
  [TOOL.name]: tool({
    description: TOOL.description,
    inputSchema: jsonSchema<{ city: string }>(structuredClone<object>(TOOL.schema)),
    execute: ({ city }) => weatherOf(city),
  }),
};

/** The package `ai` with one of its providers: whole and streamed texts, tool loops and structured output. */
function vercel(name: string, modelOf: ModelOf, thinking?: ProviderOptions): Client {
  const asked = (target: Target, scenario: string) => ({
    model: modelOf(target),
    prompt: prompt(scenario),
    maxOutputTokens: MAX_TOKENS,
    maxRetries: 0,
  });
  const loop = (target: Target, scenario: string, providerOptions?: ProviderOptions) => ({
    ...asked(target, scenario),
    tools,
    stopWhen: isStepCount(4),
    ...(providerOptions && { providerOptions }),
  });
  const run = async (target: Target, scenario: string, calls: number): Promise<void> => {
    const { text, steps } = await generateText(loop(target, scenario));
    expect({ text, calls: steps[0]?.toolCalls.length }).toEqual({ text: ANSWER, calls });
  };
  const runStream = async (target: Target, scenario: string, calls: number): Promise<void> => {
    const result = streamText(loop(target, scenario));
    const parts = await collect(result.fullStream);
    expect(parts.filter(({ type }) => type === "tool-call")).toHaveLength(calls);
    expect(parts.filter(({ type }) => type === "tool-input-delta").length).toBeGreaterThan(calls);
    expect(await result.text).toBe(ANSWER);
  };
  return {
    name,
    checks: {
      async text(target) {
        const { text, usage, finishReason } = await generateText(asked(target, "text"));
        expect({ text, finishReason }).toEqual({ text: ANSWER, finishReason: "stop" });
        expectUsage(usage.inputTokens, usage.inputTokenDetails.cacheReadTokens, usage.outputTokens);
      },
      async stream(target) {
        const { textStream, usage, finishReason } = streamText(asked(target, "text"));
        const pieces = await collect(textStream);
        expect(pieces.length).toBeGreaterThan(3);
        expect(pieces.join("")).toBe(ANSWER);
        expect(await finishReason).toBe("stop");
        const { inputTokens, inputTokenDetails, outputTokens } = await usage;
        expectUsage(inputTokens, inputTokenDetails.cacheReadTokens, outputTokens);
      },
      async system(target) {
        expect((await generateText({ ...asked(target, "system"), instructions: SYSTEM })).text).toBe(ANSWER);
      },
      async history(target) {
        const { prompt: first, ...rest } = asked(target, "history");
        const { text } = await generateText({
          ...rest,
          messages: [
            { role: "user", content: first },
            { role: "assistant", content: ANSWER },
            { role: "user", content: "Thanks." },
          ],
        });
        expect(text).toBe("You are welcome.");
      },
      async length(target) {
        const { text, finishReason } = await generateText({ ...asked(target, "length"), maxOutputTokens: 20 });
        expect({ text, finishReason }).toEqual({ text: "Zürich has", finishReason: "length" });
      },
      async image(target) {
        const { prompt: first, ...rest } = asked(target, "image");
        const content = [
          { type: "text" as const, text: first },
          { type: "file" as const, data: PNG, mediaType: "image/png" },
        ];
        const { text } = await generateText({ ...rest, messages: [{ role: "user", content }] });
        expect(text).toBe("A red pixel.");
      },
      async schema(target) {
        const schema = jsonSchema<typeof RECORD>(structuredClone<object>(RECORD_SCHEMA));
        const { output } = await generateText({ ...asked(target, "schema"), output: Output.object({ schema }) });
        expect(output).toEqual(RECORD);
      },
      tool: (target) => run(target, "tool", 1),
      "tool stream": (target) => runStream(target, "tool", 1),
      parallel: (target) => run(target, "parallel", 2),
      "parallel stream": (target) => runStream(target, "parallel", 2),
      async forced(target) {
        const toolChoice = { type: "tool" as const, toolName: TOOL.name };
        const { toolCalls } = await generateText({ ...asked(target, "forced"), tools, toolChoice });
        expect(toolCalls).toMatchObject([{ toolName: TOOL.name, input: { city: CITY } }]);
      },
      ...(thinking && {
        async thinking(target) {
          const { text, steps } = await generateText(loop(target, "thinking", thinking));
          expect(text).toBe(ANSWER);
          expect(["", THOUGHT]).toContain(steps[0]?.reasoningText ?? "");
        },
        async "thinking stream"(target) {
          const result = streamText(loop(target, "thinking", thinking));
          expect(await result.text).toBe(ANSWER);
          expect(["", THOUGHT]).toContain((await result.steps)[0]?.reasoningText ?? "");
        },
      }),
      async "rate limit"(target) {
        const error = await failureOf(generateText(asked(target, "rate-limit")));
        if (!APICallError.isInstance(error)) throw error;
        expect(error.statusCode).toBe(429);
        expect(error.responseHeaders?.["retry-after"]).toBe(`${RETRY_AFTER_SECS}`);
      },
      async "broken stream"(target) {
        const result = streamText({ ...asked(target, "broken-stream"), onError: () => {} });
        const parts = await collect(result.fullStream);
        expect(parts.map(({ type }) => type)).toContain("error");
      },
    },
  };
}

const settings = ({ url, apiKey }: Target) => ({ baseURL: `${url}/v1`, apiKey });

export const vercelChat = vercel("ai + @ai-sdk/openai chat", (target) =>
  createOpenAI(settings(target)).chat(target.model),
);
export const vercelResponses = vercel(
  "ai + @ai-sdk/openai responses",
  (target) => createOpenAI(settings(target)).responses(target.model),
  { openai: { reasoningEffort: "low", reasoningSummary: "auto", forceReasoning: true, store: false } },
);
export const vercelAnthropic = vercel(
  "ai + @ai-sdk/anthropic",
  (target) => createAnthropic(settings(target))(target.model),
  { anthropic: { thinking: { type: "enabled", budgetTokens: 1_024 } } },
);
