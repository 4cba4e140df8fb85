import type { OutputField } from "./output-field.ts";

/** Members of a request that the gateway interprets, as every wire has them. */
export interface ReadMembers {
  /** Model as the client wrote it. */
  readonly model: string;
  readonly choices: number;
  /**
   * Output bound of each choice: the name that the client used, the value that it wrote, and that value lowered to what any model
   * can write; undefined if the client gave none.
   */
  readonly output: { readonly field: OutputField; readonly requested: number; readonly bounded: number } | undefined;
  readonly streamed: boolean;
  /** True if the client is to get the event that reports nothing but the usage. */
  readonly wantsUsageChunk: boolean;
  readonly streamOptions: Readonly<Record<string, unknown>> | undefined;
  /** True if no texts of its messages are read as one, and none holds media. */
  readonly hasSeparateTexts: boolean;
  /** True if any tool or function is defined. */
  readonly hasTools: boolean;
  readonly hostedTools: readonly HostedTool[];
}

/** Tool that the provider runs and bills, e.g. a search, a code interpreter or a remote server. */
export interface HostedTool {
  /** Path of the member that makes it one, e.g. `tools[0].type`. */
  readonly path: string;
  /** Type of the tool, or name of the member that makes it one. */
  readonly type: string | undefined;
}
