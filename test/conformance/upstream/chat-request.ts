import { z } from "zod";
import { isGiven, type ReceivedMessage, type ReceivedPart, type ReceivedRequest, requireThat } from "./received.ts";
import { validate } from "./validate.ts";

const text = z.strictObject({ type: z.literal("text"), text: z.string() });
const image = z.strictObject({
  type: z.literal("image_url"),
  image_url: z.strictObject({ url: z.string(), detail: z.enum(["auto", "low", "high"]).optional() }),
});
const texts = z.union([z.string(), z.array(text).min(1)]);
const call = z.strictObject({
  id: z.string().min(1).max(64),
  type: z.literal("function"),
  function: z.strictObject({ name: z.string().regex(/^[\w-]{1,64}$/), arguments: z.string() }),
});

const message = z.discriminatedUnion("role", [
  z.strictObject({ role: z.enum(["system", "developer"]), content: texts, name: z.string().optional() }),
  z.strictObject({
    role: z.literal("user"),
    content: z.union([z.string(), z.array(z.union([text, image])).min(1)]),
    name: z.string().optional(),
  }),
  z.strictObject({
    role: z.literal("assistant"),
    content: texts.nullish(),
    tool_calls: z.array(call).min(1).optional(),
    refusal: z.string().nullish(),
    annotations: z.array(z.unknown()).optional(),
    reasoning_content: z.string().optional(),
    name: z.string().optional(),
  }),
  z.strictObject({ role: z.literal("tool"), content: texts, tool_call_id: z.string() }),
]);

const schema = z.strictObject({
  model: z.string(),
  messages: z.array(message).min(1),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
    .nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  n: z.literal(1).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  tools: z
    .array(
      z.strictObject({
        type: z.literal("function"),
        function: z.strictObject({
          name: z.string().regex(/^[\w-]{1,64}$/),
          description: z.string().optional(),
          parameters: z.record(z.string(), z.unknown()).optional(),
          strict: z.boolean().nullish(),
        }),
      }),
    )
    .min(1)
    .optional(),
  tool_choice: z
    .union([
      z.enum(["auto", "none", "required"]),
      z.strictObject({ type: z.literal("function"), function: z.strictObject({ name: z.string() }) }),
    ])
    .optional(),
  parallel_tool_calls: z.boolean().optional(),
  response_format: z
    .union([
      z.strictObject({ type: z.enum(["text", "json_object"]) }),
      z.strictObject({
        type: z.literal("json_schema"),
        json_schema: z.strictObject({
          name: z.string().regex(/^[\w-]{1,64}$/),
          description: z.string().optional(),
          schema: z.record(z.string(), z.unknown()),
          strict: z.boolean().nullish(),
        }),
      }),
    ])
    .optional(),
  reasoning_effort: z.enum(["none", "minimal", "low", "medium", "high", "xhigh"]).nullish(),
  verbosity: z.enum(["low", "medium", "high"]).nullish(),
  user: z.string().optional(),
  metadata: z.record(z.string(), z.string()).nullish(),
  store: z.boolean().nullish(),
  seed: z.int().nullish(),
  frequency_penalty: z.number().nullish(),
  presence_penalty: z.number().nullish(),
  safety_identifier: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
});

type ChatMessage = z.infer<typeof message>;

/** Reads a body of POST /v1/chat/completions. @throws ProviderFault as OpenAI refuses it */
export function readChatRequest(body: unknown): ReceivedRequest {
  const request = validate(schema, body);
  const { tools, tool_choice: choice, response_format: format } = request;
  const stream = request.stream === true;
  requireThat(stream || !isGiven(request.stream_options), "'stream_options' is only allowed when 'stream' is enabled.");
  requireThat(
    tools !== undefined || (choice === undefined && request.parallel_tool_calls === undefined),
    "'tool_choice' and 'parallel_tool_calls' are only allowed when 'tools' are specified.",
  );
  requireThat(
    !isGiven(request.max_tokens) || !isGiven(request.max_completion_tokens),
    "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
  );
  requireAnsweredCalls(request.messages);
  return {
    wire: "chat",
    model: request.model,
    stream,
    includeUsage: request.stream_options?.include_usage === true,
    system: request.messages
      .flatMap((one) => (one.role === "system" || one.role === "developer" ? [joined(one.content)] : []))
      .join("\n"),
    messages: request.messages.flatMap(fromChatMessage),
    tools: (tools ?? []).map(({ function: { name, description, parameters } }) => ({
      name,
      description,
      schema: parameters,
    })),
    toolChoice: typeof choice === "object" ? { name: choice.function.name } : choice,
    schema: format?.type === "json_schema" ? format.json_schema.schema : undefined,
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
    thinks: (request.reasoning_effort ?? "none") !== "none",
  };
}

/** Refuses calls that are not answered by the very next messages, and answers to no call. */
function requireAnsweredCalls(messages: readonly ChatMessage[]): void {
  let open = new Set<string>();
  for (const one of messages) {
    if (one.role === "tool") {
      requireThat(
        open.delete(one.tool_call_id),
        "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
      );
      continue;
    }
    requireThat(
      open.size === 0,
      `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id': ${[...open].join()}`,
    );
    if (one.role !== "assistant") continue;
    requireThat(
      isGiven(one.content) || one.tool_calls !== undefined,
      "An assistant message needs 'content' or 'tool_calls'.",
    );
    open = new Set(one.tool_calls?.map(({ id }) => id));
  }
  requireThat(open.size === 0, "An assistant message with 'tool_calls' must be followed by tool messages.");
}

function fromChatMessage(one: ChatMessage): readonly ReceivedMessage[] {
  if (one.role === "system" || one.role === "developer") return [];
  if (one.role === "tool") {
    return [{ role: "user", parts: [{ type: "result", id: one.tool_call_id, text: joined(one.content) }] }];
  }
  const parts: ReceivedPart[] = [];
  if (one.role === "assistant" && one.reasoning_content !== undefined) {
    parts.push({ type: "thinking", text: one.reasoning_content, signature: "" });
  }
  for (const part of typeof one.content === "string"
    ? [{ type: "text" as const, text: one.content }]
    : (one.content ?? [])) {
    parts.push(part.type === "text" ? part : { type: "image", url: part.image_url.url });
  }
  for (const { id, function: called } of (one.role === "assistant" && one.tool_calls) || []) {
    parts.push({ type: "call", id, name: called.name, input: JSON.parse(called.arguments) });
  }
  return [{ role: one.role, parts }];
}

function joined(content: string | readonly { readonly text: string }[]): string {
  return typeof content === "string" ? content : content.map((part) => part.text).join("");
}
