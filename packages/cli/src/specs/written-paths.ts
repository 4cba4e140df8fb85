import { ConnectError } from "@connectrpc/connect";
import type { PolicyKind } from "@routeplane/policy-spec";
import { fromConnectError } from "../call-error.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";

/**
 * Awaits a call that sends a spec, and translates the field paths in its error to paths in the user's JSON. In the contract, a spec is in a
 * oneof field named after its kind, and a list of models is a message.
 */
export async function withWrittenPaths<T>(context: Context, kind: PolicyKind, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const { exitCode, code, reason, message, options } = fromConnectError(error, await context.url());
    const fields = options.fields?.map(({ field, rule }) => ({ field: toWrittenPath(field, kind), rule }));
    throw new CliError(exitCode, code, reason, toWrittenPath(message, kind), { ...options, ...(fields && { fields }) });
  }
}

function toWrittenPath(text: string, kind: PolicyKind): string {
  return text.replaceAll(`spec.${kind}`, "spec").replaceAll(/\b(model_allow|model_deny)\.models\b/g, "$1");
}
