/**
 * Neutral model of a request, an answer and a stream. Each wire has a reader into it and a writer from it; no other code knows two wires.
 * The model has what at least two wires have in common. A reader refuses members that only its own wire has; a writer refuses or drops
 * members that its wire does not have.
 */
import { type JsonObject } from "./json.ts";

/** Wire that requests are translated from or to. */
export type ProtocolWire = "chat" | "responses" | "messages";

/** Value with its path in the client's body, by which a writer refuses or drops it. */
export interface Located<Value> {
  readonly value: Value;
  readonly at: string;
}

// Requests

export interface NeutralRequest {
  /** Turns in the client's order. Instructions outside of the turns come first, as a turn of `system`. */
  readonly turns: readonly Turn[];
  readonly tools: readonly Tool[];
  readonly toolChoice?: Located<ToolChoice>;
  readonly reasoning?: Located<Reasoning>;
  readonly format?: Located<OutputFormat>;
  readonly stop?: Located<readonly string[]>;
  readonly stream: boolean;
  /** Members that are passed on one by one. Members that the writer does not use are dropped or refused: see `options.ts`. */
  readonly options: RequestOptions;
}

/** Members of a request that are not null. Their values are unchecked, unless a type says so. */
export interface RequestOptions {
  readonly temperature?: Located<unknown>;
  readonly topP?: Located<unknown>;
  readonly topK?: Located<unknown>;
  readonly parallelToolCalls?: Located<boolean>;
  /** Name of the person for whom the client asks. */
  readonly user?: Located<string>;
  readonly serviceTier?: Located<string>;
  readonly seed?: Located<unknown>;
  readonly frequencyPenalty?: Located<unknown>;
  readonly presencePenalty?: Located<unknown>;
  readonly logitBias?: Located<unknown>;
  readonly logprobs?: Located<unknown>;
  readonly topLogprobs?: Located<unknown>;
  readonly choices?: Located<unknown>;
  readonly verbosity?: Located<unknown>;
  readonly prediction?: Located<unknown>;
  /** True if the provider keeps the answer for later requests. */
  readonly store?: Located<unknown>;
  /** Labels of a stored answer. */
  readonly metadata?: Located<unknown>;
  readonly promptCacheKey?: Located<unknown>;
  readonly promptCacheRetention?: Located<unknown>;
  readonly promptCacheOptions?: Located<unknown>;
  readonly includeObfuscation?: Located<unknown>;
  /** Hint of the messages wire to cache the whole prompt. */
  readonly cacheControl?: Located<unknown>;
}

export type Role = "system" | "developer" | "user" | "assistant";

/** Consecutive parts of one role. Results of tools are parts of the user's turns. */
export interface Turn {
  readonly role: Role;
  readonly parts: readonly Part[];
  readonly at: string;
}

export type Part =
  | TextPart
  | RefusalPart
  | ImagePart
  | DocumentPart
  | AudioPart
  | ThinkingPart
  | ToolCallPart
  | ToolResultPart;

interface PartBase {
  /** Path in the client's body; empty in an answer. */
  readonly at: string;
  /** Hint of the client to cache the prompt up to here, in the form of the messages wire. */
  readonly cacheControl?: JsonObject;
}

export interface TextPart extends PartBase {
  readonly type: "text";
  readonly text: string;
}

/** Text in which the assistant declines. */
export interface RefusalPart extends PartBase {
  readonly type: "refusal";
  readonly text: string;
}

/** Location of the bytes of an image or document. */
export type MediaSource =
  | { readonly kind: "base64"; readonly mediaType: string; readonly data: string }
  | { readonly kind: "url"; readonly url: string }
  /** File that is stored at the provider. */
  | { readonly kind: "file"; readonly id: string };

export interface ImagePart extends PartBase {
  readonly type: "image";
  readonly source: MediaSource;
  readonly detail?: string;
}

export interface DocumentPart extends PartBase {
  readonly type: "document";
  readonly source: MediaSource;
  readonly filename?: string;
}

export interface AudioPart extends PartBase {
  readonly type: "audio";
  readonly data: string;
  readonly format: string;
}

/** Reasoning of the assistant. Only an upstream of the wire that made its seal accepts it back. */
export interface ThinkingPart extends PartBase {
  readonly type: "thinking";
  /** Readable reasoning, or its summary; empty if the reasoning is only in the seal. */
  readonly text: string;
  readonly seal?: ThinkingSeal;
}

/** Opaque value by which an upstream recognises its own reasoning. */
export interface ThinkingSeal {
  /** Wire of the upstream that made it. */
  readonly wire: ProtocolWire;
  /** `signature` signs the readable text; `encrypted` holds the reasoning itself. */
  readonly kind: "signature" | "encrypted";
  readonly value: string;
  /** Id of the item, if the wire has one. */
  readonly id?: string;
}

export interface ToolCallPart extends PartBase {
  readonly type: "tool_call";
  readonly id: string;
  readonly name: string;
  /** Arguments as the model wrote them: JSON for a `function`, any text for a `custom` tool. */
  readonly arguments: string;
  readonly kind: ToolKind;
}

export interface ToolResultPart extends PartBase {
  readonly type: "tool_result";
  readonly callId: string;
  readonly content: readonly (TextPart | ImagePart | DocumentPart | AudioPart)[];
  readonly isError: boolean;
  readonly kind: ToolKind;
}

export type ToolKind = "function" | "custom";

export interface Tool {
  readonly kind: ToolKind;
  readonly name: string;
  readonly description?: string;
  /** JSON schema of the arguments of a `function`. */
  readonly parameters?: JsonObject;
  readonly strict?: boolean;
  /** Format of the text of a `custom` tool. */
  readonly format?: JsonObject;
  readonly cacheControl?: JsonObject;
  readonly at: string;
}

export type ToolChoice =
  | { readonly mode: "none" | "auto" | "required" }
  | { readonly mode: "tool"; readonly kind: ToolKind; readonly name: string };

/** Amount of reasoning that the client asks for. Absent members leave it to the model. */
export interface Reasoning {
  /** `none` is the same as `isEnabled: false`. */
  readonly effort?: ReasoningEffort;
  /** Maximum number of tokens; only older messages upstreams know it. */
  readonly budgetTokens?: number;
  readonly isEnabled?: boolean;
  /** True if the client asks for readable reasoning, or for a summary of it. */
  readonly wantsSummary?: boolean;
}

export type ReasoningEffort = "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max";

export type OutputFormat =
  | { readonly type: "text" }
  | { readonly type: "json_object" }
  | {
      readonly type: "json_schema";
      readonly name?: string;
      readonly description?: string;
      readonly schema: JsonObject;
      readonly strict?: boolean;
    };

// Answers

/** Members of an answer that the beginning of a stream has, too. An id or model that the upstream does not report is empty. */
export interface AnswerHead {
  readonly id: string;
  readonly model: string;
  /** Seconds since 1970. */
  readonly createdAt?: number;
  /** Service tier by which the answer is billed, in the words of the chat wire. */
  readonly serviceTier?: string;
}

export interface NeutralAnswer extends AnswerHead {
  readonly parts: readonly AnswerPart[];
  readonly stop: Stop;
  /** Undefined if the upstream reports none. */
  readonly usage?: Usage;
}

export type AnswerPart = TextPart | RefusalPart | ThinkingPart | ToolCallPart;

export interface Stop {
  /** Undefined if the upstream does not report it. */
  readonly reason?: StopReason;
  /** Stop sequence that the model wrote. */
  readonly sequence?: string;
  /** Reason of a refusal, for people. */
  readonly explanation?: string;
}

export type StopReason =
  | "end"
  | "output_limit"
  | "stop_sequence"
  | "tool_calls"
  | "pause"
  | "refusal"
  | "content_filter"
  | "context_limit";

/** Token counts. Every part is included in its whole. A count that the upstream does not report is undefined. */
export interface Usage {
  /** All input, cached and written to the cache included. */
  readonly input?: number;
  readonly cachedInput?: number;
  readonly cacheWrite?: number;
  /** Parts of `cacheWrite`, by how long the cache keeps them. */
  readonly cacheWrite5m?: number;
  readonly cacheWrite1h?: number;
  readonly audioInput?: number;
  /** All output, reasoning included. */
  readonly output?: number;
  readonly reasoning?: number;
  readonly audioOutput?: number;
}

// Streams

/** Event of a server-sent stream; `name` is its `event` field. */
export interface WireEvent {
  readonly name?: string;
  readonly data: string;
}

/**
 * Event of a neutral stream. Parts are numbered in the order of their starts. Several can be open, with mixed deltas. A stream ends with
 * `end` or `error`, or breaks off.
 */
export type StreamEvent =
  | StreamStart
  | PartEvent
  /** Counts that are known so far; each replaces the earlier count of the same name. */
  | { readonly type: "usage"; readonly usage: Usage }
  | { readonly type: "stop"; readonly stop: Stop; readonly serviceTier?: string }
  | { readonly type: "error"; readonly error: StreamError }
  /** Normal end of a stream, sent by the upstream. */
  | { readonly type: "end" };

export interface StreamStart extends AnswerHead {
  readonly type: "start";
}

export type PartEvent =
  | { readonly type: "part_start"; readonly index: number; readonly part: PartStart }
  | { readonly type: "part_delta"; readonly index: number; readonly text: string }
  /** Seal of a part of thinking, whole, before the part's end. */
  | { readonly type: "part_seal"; readonly index: number; readonly seal: ThinkingSeal }
  | { readonly type: "part_end"; readonly index: number };

/** Kind of a part that starts. Its deltas are text, or the arguments of a tool call. */
export type PartStart =
  | { readonly type: "text" | "refusal" | "thinking" }
  | { readonly type: "tool_call"; readonly id: string; readonly name: string; readonly kind: ToolKind };

export interface StreamError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
}
