import { create, type DescMessage, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { DomainError, type FieldFault, invalidField } from "@routeplane/domain";
import { isInternal } from "../access.ts";
import { requireWithinBounds } from "./field-bounds.ts";
import { onlyOneOf, ruleOf } from "./json-fault.ts";
import { strayTokens } from "./stray-tokens.ts";
import { unknownNumber } from "./unknown-number.ts";

const validator = createValidator();

/**
 * Holds every request message, also each of a stream, against the bounds and rules in its schema, and names each field that
 * breaks one. Bounds come first: no rule reads a field that is longer than its bound. A request from outside is also
 * refused if it has an unknown field, which would be ignored, or a credential in a text that would be stored.
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

/** @throws DomainError INVALID_ARGUMENT */
function requireValid(method: DescMethod, message: Message): void {
  const { input } = method;
  requireWithinBounds(input, message);
  const result = validator.validate<DescMessage>(input, message);
  if (result.kind === "error") throw result.error;
  if (result.kind === "invalid") throw invalidArgument(result.violations);
  if (!isOutside(method)) return;
  const unknown = unknownNumber(input, message);
  if (unknown !== undefined) throw invalidField(unknown, "is the number of a field that is not known");
  const [stray] = strayTokens(input, message);
  if (stray !== undefined) throw invalidField(stray, "must not hold a credential");
}

function isOutside(method: DescMethod): boolean {
  return !isInternal(method);
}

function invalidArgument(violations: readonly Violation[]): DomainError {
  const fields = violations.map(faultOf);
  const message = fields.map(({ field, rule }) => (field === "" ? rule : `${field}: ${rule}`)).join("; ");
  return new DomainError("invalid_argument", "FIELD_INVALID", message, { fields });
}

/** In the words of the schema, except where those would be of numbers and names that only it knows. */
function faultOf({ field: path, message, ruleId }: Violation): FieldFault {
  const [last, ...above] = path.toReversed();
  if (last?.kind === "oneof") {
    // The name of a choice is not in the message; only where nothing else can be named does it stand for its fields.
    const named = above.length === 0 ? path : above.toReversed();
    return { field: pathToString(named), rule: onlyOneOf(last.fields) };
  }
  const field = path.findLast((each) => each.kind === "field");
  const ofEnum = field?.enum !== undefined && ruleId.startsWith("enum.");
  return { field: pathToString(path), rule: ofEnum ? ruleOf(field) : message };
}

/** Compiles the rules of every request message, which costs 80-180 ms on first use: done before the first caller waits. */
export function warmValidation(services: readonly DescService[]): void {
  for (const { input } of services.flatMap((service) => service.methods)) validator.validate(input, create(input));
}
