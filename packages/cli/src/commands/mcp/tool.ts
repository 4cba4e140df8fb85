import type * as z from "zod/v4";
import { CliError, ExitCode } from "../../errors.ts";
import { errorJson, type ErrorJson } from "../../output/output.ts";

/** Result of a command line under `--json`: its value, or its error. */
export type Outcome = { readonly value: unknown } | ErrorJson;

/** Runs a command line of this CLI under `--json`, as the holder of the key in use. @throws ToolError if it fails */
export type RunCommand = (...argv: readonly string[]) => Promise<unknown>;

/** Error of a tool call, in the format of `--json`. */
export class ToolError extends Error {
  override readonly name = "ToolError";
  readonly json: ErrorJson;

  constructor(json: ErrorJson) {
    super(json.error.message);
    this.json = json;
  }
}

export function toolError(error: CliError): ToolError {
  return new ToolError(errorJson(error));
}

/** Tool of the MCP server. */
export interface Tool {
  readonly name: string;
  /** Title for people. */
  readonly title: string;
  /** Description for the model: what it does, what it needs, what it returns. */
  readonly description: string;
  /** Schema of the arguments: an object that allows no other members. */
  readonly input: z.ZodObject;
  readonly annotations: {
    readonly readOnlyHint: boolean;
    readonly destructiveHint: boolean;
    readonly idempotentHint: boolean;
    /** Always false: tools call only the node. */
    readonly openWorldHint: false;
  };
  /** Calls the tool. @throws ToolError for arguments that `input` refuses, and if a command fails */
  call(input: unknown, run: RunCommand): Promise<unknown>;
}

interface ToolDefinition<Input extends z.ZodObject> extends Omit<Tool, "input" | "call"> {
  readonly input: Input;
  call(input: z.output<Input>, run: RunCommand): Promise<unknown>;
}

/** Defines a tool. Its `call` receives arguments that `input` has accepted. */
export function defineTool<Input extends z.ZodObject>(definition: ToolDefinition<Input>): Tool {
  return {
    ...definition,
    async call(input, run) {
      const { success, data, error } = definition.input.safeParse(input);
      if (success) return definition.call(data, run);
      throw toolError(invalidArguments(definition.name, error));
    },
  };
}

/** Maximum number of faults that an error names. */
const MAX_FAULTS = 10;

function invalidArguments(tool: string, { issues }: z.ZodError): CliError {
  const fields = issues.slice(0, MAX_FAULTS).map(({ path, message }) => ({ field: path.join("."), rule: message }));
  const faults = fields.map(({ field, rule }) => (field === "" ? rule : `${field}: ${rule}`));
  const message = `the arguments of ${tool} break a rule: ${faults.join("; ")}`;
  return new CliError(ExitCode.usage, "invalid_argument", "ARGUMENT_INVALID", message, { fields });
}

/**
 * Words of an option; empty if its value is absent. Written as one word with `=`, so that a value that begins with `-` is not parsed as an
 * option.
 */
export function option(name: string, value: string | number | undefined): readonly string[] {
  return value === undefined ? [] : [`--${name}=${value}`];
}
