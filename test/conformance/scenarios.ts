import { isDeepStrictEqual } from "node:util";
import { partsOf, promptOf, ProviderFault, type ReceivedRequest, requireThat } from "./upstream/received.ts";
import type { AnswerBlock, Turn } from "./upstream/turn.ts";

/** Conversations of the scripted upstream: for each, the requirements on a request, and the answer. */

export const ANSWER = 'Zürich has 7 °C and "rain" 🌧.\nBring an umbrella.';
export const SYSTEM = "Answer in one sentence.";
export const THOUGHT = "The user wants the weather, so I look it up.";
/** Signature of the thought, which must come back unchanged. */
export const SIGNATURE = "EqoBCkgIARABGAIiQL+/aGVsbG8/signature==";
/** Image of one red pixel. */
export const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/** Tool that every client declares. */
export const TOOL = {
  name: "get_weather",
  description: "Returns the weather of a city.",
  schema: {
    type: "object",
    properties: { city: { type: "string", description: "Name of the city" } },
    required: ["city"],
    additionalProperties: false,
  },
} as const;

/** Requested city, with characters that must be escaped in JSON. */
export const CITY = 'Zürich "HB"';
export const OTHER_CITY = "São Paulo\\SP";

/** Result of the tool. */
export function weatherOf(city: string): string {
  return `{"city":${JSON.stringify(city)},"celsius":${city.length}}`;
}

/** Object that a structured answer must be. */
export const RECORD = { city: CITY, celsius: 7 };
export const RECORD_SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, celsius: { type: "number" } },
  required: ["city", "celsius"],
  additionalProperties: false,
} as const;

export const RETRY_AFTER_SECS = 7;

const text = (content: string): Turn => ({ blocks: [{ type: "text", text: content }] });

/** Scenarios, keyed by name: the answer to a request that begins with `[name]`. */
const SCENARIOS: Readonly<Record<string, (request: ReceivedRequest) => Turn>> = {
  text: () => text(ANSWER),
  system: (request) => {
    requireThat(request.system === SYSTEM, `the system prompt is ${JSON.stringify(request.system)}`);
    requireThat(!JSON.stringify(request.messages).includes(SYSTEM), "the system prompt is also a message");
    return text(ANSWER);
  },
  history: (request) => {
    const said = request.messages.map(({ role, parts }) => [
      role,
      parts.map((part) => ("text" in part ? part.text : "")).join(""),
    ]);
    const expected = [
      ["user", prompt("history")],
      ["assistant", ANSWER],
      ["user", "Thanks."],
    ];
    requireThat(isDeepStrictEqual(said, expected), `the conversation is ${JSON.stringify(said)}`);
    return text("You are welcome.");
  },
  length: (request) => {
    requireThat(request.maxTokens === 20, `the output bound is ${request.maxTokens}, not 20`);
    return { ...text("Zürich has"), stop: "length" };
  },
  image: (request) => {
    const images = partsOf(request, "image").map(({ url }) => url);
    requireThat(isDeepStrictEqual(images, [`data:image/png;base64,${PNG}`]), `images: ${JSON.stringify(images)}`);
    return text("A red pixel.");
  },
  schema: (request) => {
    // A client that does not know the model requests the object by a forced tool call.
    const [tool] = request.tools;
    const schema = request.schema ?? tool?.schema;
    requireThat(
      schema !== undefined && isDeepStrictEqual(shapeOf(schema), shapeOf(RECORD_SCHEMA)),
      `schema: ${JSON.stringify(schema)}`,
    );
    if (tool === undefined) return text(JSON.stringify(RECORD));
    return { blocks: [{ type: "tool", id: "toolu_01Record", name: tool.name, input: RECORD }] };
  },
  tool: (request) => converse(request, [call(request, 1, CITY)]),
  parallel: (request) => converse(request, [call(request, 1, CITY), call(request, 2, OTHER_CITY)]),
  forced: (request) => {
    requireThat(
      isDeepStrictEqual(request.toolChoice, { name: TOOL.name }),
      `the choice of tool is ${JSON.stringify(request.toolChoice)}`,
    );
    requireTool(request);
    return { blocks: [call(request, 1, CITY)] };
  },
  thinking: (request) => {
    requireThat(request.thinks, "no reasoning was asked for");
    const thought = { type: "thinking", text: THOUGHT, signature: SIGNATURE } as const;
    if (partsOf(request, "result").length > 0 && request.wire !== "chat") {
      const thoughts = partsOf(request, "thinking");
      const isKept = thoughts.length === 1 && thoughts[0]?.text === THOUGHT && thoughts[0].signature === SIGNATURE;
      requireThat(isKept, `Invalid signature in thinking: ${JSON.stringify(thoughts)}`);
    }
    return converse(request, [thought, call(request, 1, CITY)]);
  },
  "rate-limit": () => {
    throw new ProviderFault("Rate limit reached.", { status: 429, retryAfterSecs: RETRY_AFTER_SECS });
  },
  "broken-stream": () => ({ ...text(ANSWER.repeat(4)), breaksOff: true }),
};

/** Prompt of a scenario. */
export function prompt(scenario: string): string {
  return `[${scenario}] How is the weather?`;
}

/** Answers a request by the scenario that its first message names. @throws ProviderFault if the request is not as the scenario demands */
export function answerOf(request: ReceivedRequest): Turn {
  const [, name = ""] = /^\[([\w-]+)\]/.exec(promptOf(request)) ?? [];
  const scenario = SCENARIOS[name];
  requireThat(scenario !== undefined, `no scenario is named by ${JSON.stringify(promptOf(request).slice(0, 60))}`);
  return scenario(request);
}

/** First the calls; then, once each of them has its result, the answer. */
function converse(request: ReceivedRequest, blocks: readonly AnswerBlock[]): Turn {
  requireTool(request);
  const calls = blocks.filter((block) => block.type === "tool");
  const results = partsOf(request, "result");
  if (results.length === 0) return { blocks };
  const replayed = partsOf(request, "call").map(({ id, name, input }) => ({ id, name, input }));
  const expected = calls.map(({ id, name, input }) => ({ id, name, input }));
  requireThat(isDeepStrictEqual(replayed, expected), `the calls came back as ${JSON.stringify(replayed)}`);
  const answers = calls.map(({ id, input }) => ({
    type: "result",
    id,
    text: weatherOf((input as { city: string }).city),
  }));
  requireThat(isDeepStrictEqual(results, answers), `the results are ${JSON.stringify(results)}`);
  return text(ANSWER);
}

/** Call of the tool, with an id in the form of the upstream's wire. */
function call({ wire }: ReceivedRequest, number: number, city: string): Extract<AnswerBlock, { type: "tool" }> {
  const id = `${wire === "messages" ? "toolu" : "call"}_0${number}AbCdEfGh`;
  return { type: "tool", id, name: TOOL.name, input: { city } };
}

function requireTool({ tools }: ReceivedRequest): void {
  const [tool] = tools;
  requireThat(tools.length === 1 && tool?.name === TOOL.name, `the tools are ${JSON.stringify(tools)}`);
  requireThat(tool.description === TOOL.description, `the tool's description is ${JSON.stringify(tool.description)}`);
  const shape = shapeOf(tool.schema);
  requireThat(isDeepStrictEqual(shape, shapeOf(TOOL.schema)), `the tool's schema is ${JSON.stringify(tool.schema)}`);
}

/** Names, types and required properties of a schema, to compare equivalent schemas. */
function shapeOf(schema: unknown): unknown {
  const { type, properties, required } = schema as typeof RECORD_SCHEMA;
  return { type, properties: Object.entries(properties).map(([name, one]) => [name, one.type]), required };
}
