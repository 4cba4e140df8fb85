import { create, type DescMessage, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { DomainError, type FieldFault, invalidField } from "@routeplane/domain";
import { isInternal } from "../access.ts";
import { requireWithinBounds, requireWithinLength } from "./field-bounds.ts";
import { onlyOneOf, ruleOf } from "./json-fault.ts";
import { plainFieldsOf, plainValueOf } from "./plain-message.ts";
import { strayTokens } from "./stray-tokens.ts";
import { unknownFieldPath } from "./unknown-field.ts";

const PATTERNS = new Map<string, RegExp>();

/**
 * Validator of the contracts. Their patterns are matched by the platform's engine: they are fixed and linear, except for the one of names,
 * which is only matched against texts of at most 100 characters. The default engine takes 0.3 s and 9 MB of resident memory to compile the
 * pattern of names.
 */
export const validator = createValidator({
  regexMatch(pattern, text) {
    let compiled = PATTERNS.get(pattern);
    if (compiled === undefined) {
      compiled = new RegExp(pattern, "u");
      PATTERNS.set(pattern, compiled);
    }
    return compiled.test(text);
  },
});

/**
 * Interceptor that checks every request message, each of a stream too, against the bounds and rules of its schema, and names
 * every field that breaks one. Bounds come first: no rule reads a field that exceeds its bound. A request from outside is also
 * refused for an unknown field, which would be ignored, and for a credential in a text that would be stored.
 */
export function validate(): Interceptor {
  return (next) => (request) => {
    if (request.stream) return next({ ...request, message: eachValid(request.method, request.message) });
    requireValid(request.method, request.message);
    return next(request);
  };
}

async function* eachValid<T extends Message>(method: DescMethod, messages: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const message of messages) {
    requireValid(method, message);
    yield message;
  }
}

/** Checks one message. @throws DomainError INVALID_ARGUMENT */
export function requireValid(method: DescMethod, message: Message): void {
  const { input } = method;
  const plainFields = plainFieldsOf(input);
  if (plainFields === undefined) {
    requireWithinBounds(input, message);
    requireRules(input, message);
  } else {
    for (const field of plainFields) requireWithinLength(plainValueOf(message, field), field.bounds, field.name);
  }
  if (isInternal(method)) return;
  const unknown = unknownFieldPath(input, message);
  if (unknown !== undefined) throw invalidField(unknown, "is the number of a field that is not known");
  const [stray] = strayTokens(input, message);
  if (stray !== undefined) throw invalidField(stray, "must not hold a credential");
}

function requireRules(schema: DescMessage, message: Message): void {
  const result = validator.validate<DescMessage>(schema, message);
  if (result.kind === "error") throw result.error;
  if (result.kind === "invalid") throw invalidArgument(result.violations);
}

function invalidArgument(violations: readonly Violation[]): DomainError {
  const fields = violations.map(faultOf);
  const message = fields.map(({ field, rule }) => (field === "" ? rule : `${field}: ${rule}`)).join("; ");
  return new DomainError("invalid_argument", "FIELD_INVALID", message, { fields });
}

/** Fault with the message of the schema, except where the message would mention numbers and names that only the schema has. */
function faultOf({ field: path, message, ruleId }: Violation): FieldFault {
  const [last, ...parents] = path.toReversed();
  if (last?.kind === "oneof") {
    // The name of a oneof does not occur in messages; it is used only if no field can be named.
    const namedPath = parents.length === 0 ? path : parents.toReversed();
    return { field: pathToString(namedPath), rule: onlyOneOf(last.fields) };
  }
  const field = path.findLast((element) => element.kind === "field");
  const isEnumRule = field?.enum !== undefined && ruleId.startsWith("enum.");
  return { field: pathToString(path), rule: isEnumRule ? ruleOf(field) : message };
}

/** Compiles the rules of every request message before the first call: on first use that takes 80-180 ms. */
export function warmValidation(services: readonly DescService[]): void {
  for (const { input } of services.flatMap((service) => service.methods)) validator.validate(input, create(input));
}
