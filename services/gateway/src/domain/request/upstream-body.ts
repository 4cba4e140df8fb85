import type { UpstreamBody } from "../ports/upstream.ts";
import { applyEdits, applyEditsToBytes } from "../wire/json-edits.ts";
import { memberEdits } from "../wire/json-members.ts";
import type { InferenceRequest } from "./inference-request.ts";
import type { OutputField } from "./output-field.ts";
import type { Model } from "./model-directory.ts";

/** Size from which a body is sent in pieces: as one text it would be copied twice. */
const LARGE_BYTES = 256 * 1024;

/** The parts of a body that depend on the model at the upstream. */
export type UpstreamTarget = Pick<
  Model,
  "id" | "outputField" | "renamesOutputField" | "usageInStreams" | "capabilities"
>;

/**
 * Prepares the body for the upstream: the client's bytes, changed only where they must be. Everything that can fail is done
 * here, before the reservation; the output bound is set later.
 *
 * @returns a function from the output bound of each choice to the body
 */
export function prepareUpstreamBody(
  request: InferenceRequest,
  target: UpstreamTarget,
): (outputTokensMax: number) => UpstreamBody {
  const { bytes, text, members, output } = request;
  const fixed = new Map<string, string>();
  if (request.model !== target.id) fixed.set("model", JSON.stringify(target.id));
  if (addsUsage(request, target)) {
    fixed.set("stream_options", JSON.stringify({ ...request.streamOptions, include_usage: true }));
  }
  const field = outputFieldOf(request, target);
  const renames = renamesTo(field, request);
  return (outputTokensMax) => {
    const values = new Map(fixed);
    if (field !== undefined && (output?.requested !== outputTokensMax || output.field !== field))
      values.set(field, String(outputTokensMax));
    if (output !== undefined && output.field !== field && renames.size === 0) values.set(output.field, "null");
    if (values.size === 0) return bytes;
    const edits = memberEdits(text, members, values, renames);
    return bytes.length > LARGE_BYTES ? applyEditsToBytes(bytes, text, edits) : applyEdits(text, edits);
  };
}

/** Member of a body that the gateway can have set by itself. */
export type AddedMember = "stream_options" | OutputField;

/** Members of the body for the upstream that the client did not send, or not under that name, and that can be sent otherwise. */
export function addedMembers(request: InferenceRequest, target: UpstreamTarget): readonly AddedMember[] {
  const field = outputFieldOf(request, target);
  const hasAnotherName = request.wire.request.outputFields.length > 1;
  const output = field === undefined || !hasAnotherName || request.output?.field === field ? [] : [field];
  return addsUsage(request, target) ? ["stream_options", ...output] : output;
}

/** True if the usage of a stream is requested although the client does not ask for it. */
function addsUsage(
  { wire, streamed, wantsUsageChunk }: InferenceRequest,
  { usageInStreams = "ask" }: Pick<Model, "usageInStreams">,
): boolean {
  return wire.name === "chat" && streamed && !wantsUsageChunk && usageInStreams === "ask";
}

/**
 * Name under which the output bound is sent: the one of the wire; where that has several, the client's own, unless the upstream is
 * known to take the other one. Undefined if there is no output to bound.
 */
function outputFieldOf(
  { wire, output }: InferenceRequest,
  { outputField, renamesOutputField = false }: UpstreamTarget,
): OutputField | undefined {
  const { outputFields } = wire.request;
  if (outputFields.length < 2) return outputFields[0];
  return output === undefined || renamesOutputField ? outputField : output.field;
}

/** Renames the client's output bound. None if the client has a member of the new name, which is then null. */
function renamesTo(field: OutputField | undefined, { output, members }: InferenceRequest): ReadonlyMap<string, string> {
  if (field === undefined || output === undefined || output.field === field || members.some(({ key }) => key === field))
    return new Map();
  return new Map([[output.field, field]]);
}
