import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { ContentPatternSchema } from "@routeplane/contracts/policy";
import { isInternal } from "./access.ts";

/** Bound of a request from outside, which holds names, filters and ids. */
const REQUEST_BYTES = 64 << 10;
/**
 * Bound of a request from outside that holds guardrails. The contract allows 50 patterns of 512 and 64 characters and two lists of 100 models of 256:
 * 80,000 characters, of 6 bytes each where JSON escapes them.
 */
const GUARDRAIL_REQUEST_BYTES = 512 << 10;
/** Bound of a request between services, which holds batches. */
const INTERNAL_REQUEST_BYTES = 1 << 20;

const KNOWN = new WeakMap<DescMethod, number>();

/** Bound of the request message of a method, in bytes. */
export function requestBytesOf(method: DescMethod): number {
  const known = KNOWN.get(method);
  if (known !== undefined) return known;
  const holdsGuardrails = holds(method.input, ContentPatternSchema.typeName, new Set());
  const outside = holdsGuardrails ? GUARDRAIL_REQUEST_BYTES : REQUEST_BYTES;
  const bytes = isInternal(method) ? INTERNAL_REQUEST_BYTES : outside;
  KNOWN.set(method, bytes);
  return bytes;
}

/** Tells whether a message type contains another one, at any depth. */
function holds(message: DescMessage, typeName: string, seen: Set<string>): boolean {
  if (message.typeName === typeName) return true;
  if (seen.has(message.typeName)) return false;
  seen.add(message.typeName);
  return message.fields.some(({ message: inner }) => inner !== undefined && holds(inner, typeName, seen));
}
