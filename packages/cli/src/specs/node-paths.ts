import type { PolicyKind } from "@routeplane/policy-spec";
import { ConnectError } from "@connectrpc/connect";
import { fromConnectError } from "../call-error.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";

/**
 * A call that sends a spec. What the node refuses in it is named as the user wrote it: in the contract a spec lies in an arm
 * named after its kind, and a list of models in a message of its own.
 */
export async function namingAsWritten<T>(context: Context, kind: PolicyKind, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const { exitCode, code, reason, message, options } = fromConnectError(error, await context.url());
    const fields = options.fields?.map(({ field, rule }) => ({ field: asWritten(field, kind), rule }));
    throw new CliError(exitCode, code, reason, asWritten(message, kind), { ...options, ...(fields && { fields }) });
  }
}

function asWritten(text: string, kind: PolicyKind): string {
  return text.replaceAll(`spec.${kind}`, "spec").replaceAll(/\b(model_allow|model_deny)\.models\b/g, "$1");
}
