import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { ContentPatternSchema } from "@routeplane/contracts/policy";
import { isInternal } from "./access.ts";

/** Bound of a request from outside: names, filters and ids. */
const REQUEST_BYTES = 64 << 10;
/**
 * Bound of a request from outside that holds guardrails. The contract allows 50 patterns of 512 characters with names of 64, and
 * two lists of 100 models of 256 characters: 80,000 characters, of up to 12 bytes each where JSON escapes them as two surrogates.
 */
const GUARDRAIL_REQUEST_BYTES = 1 << 20;
/** Bound of a request between services: batches. */
const INTERNAL_REQUEST_BYTES = 1 << 20;

/** Cached bounds: the message types of a method are walked once. */
const CACHE = new WeakMap<DescMethod, number>();

/** Bound of the request message of a method, in bytes. */
export function requestBytesOf(method: DescMethod): number {
  const cached = CACHE.get(method);
  if (cached !== undefined) return cached;
  const holdsGuardrails = containsType(method.input, ContentPatternSchema.typeName, new Set());
  const outside = holdsGuardrails ? GUARDRAIL_REQUEST_BYTES : REQUEST_BYTES;
  const bytes = isInternal(method) ? INTERNAL_REQUEST_BYTES : outside;
  CACHE.set(method, bytes);
  return bytes;
}

/** True if a message type contains another one, at any depth. */
function containsType(message: DescMessage, typeName: string, seen: Set<string>): boolean {
  if (message.typeName === typeName) return true;
  if (seen.has(message.typeName)) return false;
  seen.add(message.typeName);
  return message.fields.some(({ message: inner }) => inner !== undefined && containsType(inner, typeName, seen));
}
