export type UpstreamWire = "chat" | "responses" | "messages";

/** Request that the scripted upstream has found valid on its wire, in a form that is the same for every wire. */
export interface ReceivedRequest {
  readonly wire: UpstreamWire;
  readonly model: string;
  readonly stream: boolean;
  /** True if the last piece of a stream must report usage; always true on a wire that always reports it. */
  readonly includeUsage: boolean;
  /** Texts of the system prompt, joined. */
  readonly system: string;
  readonly messages: readonly ReceivedMessage[];
  readonly tools: readonly ReceivedTool[];
  readonly toolChoice: ToolChoice | undefined;
  /** JSON schema that the answer must have. */
  readonly schema: unknown;
  readonly maxTokens: number | undefined;
  /** True if the request asks for reasoning. */
  readonly thinks: boolean;
}

export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

export interface ReceivedTool {
  readonly name: string;
  readonly description: string | undefined;
  readonly schema: unknown;
}

export interface ReceivedMessage {
  readonly role: "user" | "assistant";
  readonly parts: readonly ReceivedPart[];
}

export type ReceivedPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly url: string }
  | { readonly type: "call"; readonly id: string; readonly name: string; readonly input: unknown }
  | { readonly type: "result"; readonly id: string; readonly text: string }
  | { readonly type: "thinking"; readonly text: string; readonly signature: string };

interface FaultOptions {
  readonly status?: number;
  readonly retryAfterSecs?: number;
  /** Members of the error that the messages wire adds. */
  readonly details?: object;
}

/** Refusal by the scripted upstream, in the format of the wire's provider. */
export class ProviderFault extends Error {
  readonly options: FaultOptions;

  constructor(message: string, options: FaultOptions = {}) {
    super(message);
    this.options = options;
  }
}

/** Throws a fault of the request unless the condition holds. */
export function requireThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ProviderFault(message);
}

/** True for a member that is neither left out nor null. */
export function isGiven<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null;
}

/** Text of the first message of the user. */
export function promptOf({ messages }: ReceivedRequest): string {
  const parts = messages.find(({ role }) => role === "user")?.parts ?? [];
  return parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
}

/** All parts of a type, in the order of the conversation. */
export function partsOf<T extends ReceivedPart["type"]>(
  { messages }: ReceivedRequest,
  type: T,
): readonly Extract<ReceivedPart, { type: T }>[] {
  return messages
    .flatMap(({ parts }) => parts)
    .filter((part): part is Extract<ReceivedPart, { type: T }> => part.type === type);
}
