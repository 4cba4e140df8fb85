import { z } from "zod";
import {
  ProviderFault,
  type ReceivedMessage,
  type ReceivedPart,
  type ReceivedRequest,
  requireThat,
} from "./received.ts";
import { validate } from "./validate.ts";

/** Versions of the API that clients name. The later one has no sampling parameters. */
export const MESSAGES_VERSIONS = ["2023-06-01", "2026-10-21"] as const;
export type MessagesVersion = (typeof MESSAGES_VERSIONS)[number];

const cache_control = z.strictObject({ type: z.literal("ephemeral"), ttl: z.enum(["5m", "1h"]).optional() }).nullish();
const text = z.strictObject({
  type: z.literal("text"),
  text: z.string().min(1),
  citations: z.null().optional(),
  cache_control,
});
const image = z.strictObject({
  type: z.literal("image"),
  source: z.union([
    z.strictObject({
      type: z.literal("base64"),
      media_type: z.enum(["image/jpeg", "image/png", "image/gif", "image/webp"]),
      data: z.base64(),
    }),
    z.strictObject({ type: z.literal("url"), url: z.string() }),
  ]),
  cache_control,
});
const toolUse = z.strictObject({
  type: z.literal("tool_use"),
  id: z.string().regex(/^[\w-]+$/),
  name: z.string().regex(/^[\w-]{1,128}$/),
  input: z.record(z.string(), z.unknown()),
  caller: z.strictObject({ type: z.literal("direct") }).optional(),
  cache_control,
});
const toolResult = z.strictObject({
  type: z.literal("tool_result"),
  tool_use_id: z.string().regex(/^[\w-]+$/),
  content: z.union([z.string(), z.array(z.union([text, image]))]).optional(),
  is_error: z.boolean().optional(),
  cache_control,
});
const thinking = z.strictObject({ type: z.literal("thinking"), thinking: z.string(), signature: z.string() });

const message = z.discriminatedUnion("role", [
  z.strictObject({
    role: z.literal("user"),
    content: z.union([z.string().min(1), z.array(z.union([text, image, toolResult])).min(1)]),
  }),
  z.strictObject({
    role: z.literal("assistant"),
    content: z.union([z.string().min(1), z.array(z.union([text, toolUse, thinking])).min(1)]),
  }),
]);

const parallel = { disable_parallel_tool_use: z.boolean().optional() };

const counted = {
  model: z.string(),
  messages: z.array(message).min(1),
  system: z.union([z.string(), z.array(text)]).optional(),
  tools: z
    .array(
      z.strictObject({
        type: z.literal("custom").nullish(),
        name: z.string().regex(/^[\w-]{1,128}$/),
        description: z.string().optional(),
        input_schema: z.looseObject({ type: z.literal("object") }),
        strict: z.boolean().optional(),
        eager_input_streaming: z.boolean().nullish(),
        cache_control,
      }),
    )
    .optional(),
  tool_choice: z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.literal("auto"), ...parallel }),
      z.strictObject({ type: z.literal("any"), ...parallel }),
      z.strictObject({ type: z.literal("none") }),
      z.strictObject({ type: z.literal("tool"), name: z.string(), ...parallel }),
    ])
    .optional(),
  thinking: z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.literal("enabled"), budget_tokens: z.int().min(1_024) }),
      z.strictObject({ type: z.literal("adaptive"), display: z.enum(["summarized", "omitted"]).nullish() }),
      z.strictObject({ type: z.literal("disabled") }),
    ])
    .optional(),
  output_config: z
    .strictObject({
      effort: z.enum(["low", "medium", "high", "xhigh", "max"]).nullish(),
      format: z.strictObject({ type: z.literal("json_schema"), schema: z.record(z.string(), z.unknown()) }).nullish(),
    })
    .optional(),
};

const countSchema = z.strictObject(counted);
const schema = z.strictObject({
  ...counted,
  max_tokens: z.int().min(1),
  stream: z.boolean().optional(),
  temperature: z.number().min(0).max(1).optional(),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.int().optional(),
  stop_sequences: z.array(z.string()).optional(),
  metadata: z.strictObject({ user_id: z.string().nullish() }).optional(),
  service_tier: z.enum(["auto", "standard_only"]).optional(),
});

type WireMessage = z.infer<typeof message>;

/** Checks a body of POST /v1/messages/count_tokens. @throws ProviderFault as Anthropic refuses it */
export function checkCountTokensRequest(body: unknown): void {
  requirePairedTools(validate(countSchema, body).messages);
}

/** Reads a body of POST /v1/messages. @throws ProviderFault as Anthropic refuses it */
export function readMessagesRequest(body: unknown, version: MessagesVersion): ReceivedRequest {
  refuseThread(body);
  const request = validate(schema, body);
  const sampling = (["temperature", "top_p", "top_k"] as const).find((name) => request[name] !== undefined);
  const allowsSampling = version === "2023-06-01";
  requireThat(sampling === undefined || allowsSampling, `${sampling}: Extra inputs are not permitted`);
  const { thinking: mode, tool_choice: choice, system = "" } = request;
  const thinks = mode?.type === "enabled" || mode?.type === "adaptive";
  requirePairedTools(request.messages);
  if (mode?.type === "enabled") {
    requireThat(request.max_tokens > mode.budget_tokens, "`max_tokens` must be greater than `thinking.budget_tokens`.");
    requireThat((request.temperature ?? 1) === 1, "`temperature` may only be set to 1 when thinking is enabled.");
  }
  const forced = choice?.type === "any" || choice?.type === "tool";
  requireThat(!thinks || !forced, "Thinking may not be enabled when tool_choice forces tool use.");
  requireThat(
    choice === undefined || request.tools !== undefined,
    "tool_choice may only be specified while providing tools.",
  );
  if (mode?.type === "enabled") requireThinkingBeforeTools(request.messages);
  return {
    wire: "messages",
    model: request.model,
    stream: request.stream === true,
    includeUsage: true,
    system: typeof system === "string" ? system : system.map((part) => part.text).join("\n"),
    messages: request.messages.map(fromWireMessage),
    tools: (request.tools ?? []).map(({ name, description, input_schema }) => ({
      name,
      description,
      schema: input_schema,
    })),
    toolChoice:
      choice && (choice.type === "tool" ? { name: choice.name } : choice.type === "any" ? "required" : choice.type),
    schema: request.output_config?.format?.schema,
    maxTokens: request.max_tokens,
    thinks,
  };
}

/** Refuses a conversation that the server should store, as Anthropic does when it cannot: the client then sends all of it. */
function refuseThread(body: unknown): void {
  if (typeof body !== "object" || body === null || !("thread" in body)) return;
  const details = { error_code: "thread_unsupported_request", unsupported: ["inference_hooks"] };
  throw new ProviderFault("Threads are not supported for this request.", { details });
}

function blocksOf({ content }: WireMessage) {
  return typeof content === "string" ? [{ type: "text" as const, text: content }] : content;
}

/** Refuses tool uses that the next message does not answer at its beginning, and results of no tool use. */
function requirePairedTools(messages: readonly WireMessage[]): void {
  requireThat(messages[0]?.role === "user", 'messages: first message must use the "user" role');
  let open = new Set<string>();
  for (const one of messages) {
    const blocks = blocksOf(one);
    const firstOther = blocks.findIndex(({ type }) => type !== "tool_result");
    const answers = blocks.filter(({ type }) => type === "tool_result").length;
    requireThat(firstOther === -1 || firstOther >= answers, "`tool_result` blocks must come first in a message.");
    for (const block of blocks) {
      if (block.type !== "tool_result") continue;
      requireThat(
        open.delete(block.tool_use_id),
        `unexpected \`tool_use_id\` in \`tool_result\`: ${block.tool_use_id}`,
      );
    }
    requireThat(open.size === 0, `\`tool_use\` ids were found without \`tool_result\` blocks: ${[...open].join()}`);
    open = new Set(blocks.flatMap((block) => (block.type === "tool_use" ? [block.id] : [])));
  }
  requireThat(open.size === 0, `\`tool_use\` ids were found without \`tool_result\` blocks: ${[...open].join()}`);
}

/** Refuses a message with a tool use whose thinking was left out. */
function requireThinkingBeforeTools(messages: readonly WireMessage[]): void {
  for (const one of messages) {
    const blocks = blocksOf(one);
    if (!blocks.some(({ type }) => type === "tool_use")) continue;
    requireThat(
      blocks[0]?.type === "thinking",
      "When `thinking` is enabled, a final `assistant` message must start with a thinking block.",
    );
  }
}

function fromWireMessage(one: WireMessage): ReceivedMessage {
  const parts = blocksOf(one).map((block): ReceivedPart => {
    switch (block.type) {
      case "text":
        return { type: "text", text: block.text };
      case "image":
        return { type: "image", url: urlOf(block.source) };
      case "tool_use":
        return { type: "call", id: block.id, name: block.name, input: block.input };
      case "tool_result":
        return { type: "result", id: block.tool_use_id, text: resultText(block.content) };
      case "thinking":
        return { type: "thinking", text: block.thinking, signature: block.signature };
    }
  });
  return { role: one.role, parts };
}

function urlOf(source: z.infer<typeof image>["source"]): string {
  return source.type === "url" ? source.url : `data:${source.media_type};base64,${source.data}`;
}

function resultText(content: z.infer<typeof toolResult>["content"] = ""): string {
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "text" ? part.text : "")).join("");
}
