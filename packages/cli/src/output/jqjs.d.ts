/** Types for the part of the library that `query.ts` uses. It ships without types. */
declare module "@michaelhomer/jqjs" {
  /** Compiles a jq expression. The function that it returns yields the outputs for a value of JSON. Both throw texts or errors. */
  export function compile(expression: string): (input: unknown) => Generator<unknown, void, unknown>;
}
