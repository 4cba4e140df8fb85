/** Name of the output bound in a request. */
export type OutputField = "max_tokens" | "max_completion_tokens" | "max_output_tokens";
