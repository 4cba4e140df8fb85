import { type DescMessage, type DescMethod, fromJsonString, type JsonValue } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type MethodImpl } from "@connectrpc/connect";
import { DomainError, type FieldFault } from "@routeplane/domain";
import { toConnectError } from "../errors.ts";
import { requestBytesOf } from "../request-bytes.ts";
import { jsonFault, STRICT_JSON } from "./json-fault.ts";
import { holdsTimes, timeFault } from "./json-times.ts";

/**
 * Wraps a router so that its methods refuse JSON that is not their message with an error of this package, on every protocol: the
 * errors of the parser quote the request, which may hold anything, of any length.
 */
export function parsingSafely(router: ConnectRouter): ConnectRouter {
  const safe: ConnectRouter = {
    handlers: router.handlers,
    service(service, implementation, options) {
      const methods: Partial<Record<string, unknown>> = implementation;
      for (const method of service.methods) {
        const handler = methods[method.localName];
        const bound = typeof handler === "function" ? handler.bind(implementation) : unimplemented(method);
        safe.rpc(method, bound as MethodImpl<DescMethod>, options);
      }
      return safe;
    },
    rpc(method, implementation, options) {
      const jsonOptions = { ...STRICT_JSON, ...jsonChecker(method.input) };
      router.rpc(method, implementation, { ...options, readMaxBytes: requestBytesOf(method), jsonOptions });
      return safe;
    },
  };
  return safe;
}

/** Option that decodes a JSON message from UTF-8, and parses it once more: only here can the fault be replaced by a safe one. */
function jsonChecker(schema: DescMessage): { readonly textDecoder: { decode(bytes: Uint8Array): string } } {
  return {
    textDecoder: {
      decode(bytes) {
        const text = decodeText(bytes);
        try {
          fromJsonString(schema, text, STRICT_JSON);
        } catch (error) {
          throw toConnectError(jsonError(schema, text, error));
        }
        const fault = holdsTimes(schema) ? timeFault(schema, JSON.parse(text) as JsonValue) : undefined;
        if (fault !== undefined) throw toConnectError(fieldFault(fault));
        return text;
      },
    },
  };
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** Decodes UTF-8. @throws ConnectError INVALID_ARGUMENT for other bytes, which would be stored as U+FFFD, e.g. in a pattern */
function decodeText(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw toConnectError(messageFault("the request is not UTF-8"));
  }
}

/** Error for a JSON message, with the path of the field and its rule: `spec.guardrail.content_patterns[2].foo: is not known`. */
function jsonError(schema: DescMessage, text: string, error: unknown): DomainError {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return messageFault("the request is not JSON");
  }
  const fault = jsonFault(schema, json);
  if (fault === undefined) return messageFault(`the request is no ${schema.typeName} in JSON${duplicateKey(error)}`);
  return fault.field === "" ? messageFault(`the request ${fault.rule}`) : fieldFault(fault);
}

function fieldFault(fault: FieldFault): DomainError {
  return messageFault(`${fault.field}: ${fault.rule}`, [fault]);
}

/** Error for a request that is not the message of its method. */
export function messageFault(message: string, fields: readonly FieldFault[] = []): DomainError {
  return new DomainError("invalid_argument", "FIELD_INVALID", message, { fields });
}

/** Suffix that names a duplicate key: the one fault that `JSON.parse` does not show. */
function duplicateKey(error: unknown): string {
  const [, key] = /duplicate object key "(\w{1,64})"$/.exec(error instanceof Error ? error.message : "") ?? [];
  return key === undefined ? "" : `: it gives ${key} twice`;
}

function unimplemented({ parent, name }: DescMethod) {
  return () => {
    throw new ConnectError(`${parent.typeName}/${name} is not implemented`, Code.Unimplemented);
  };
}
