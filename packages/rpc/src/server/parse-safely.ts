import { type DescMessage, type DescMethod, fromJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type MethodImpl } from "@connectrpc/connect";
import { DomainError, type FieldFault } from "@routeplane/domain";
import { toConnectError } from "../errors.ts";
import { requestBytesOf } from "../request-bytes.ts";
import { jsonFault, STRICT_JSON } from "./json-fault.ts";

/**
 * A router whose methods refuse JSON that is not their message in words of our own, by every protocol: those of the parser
 * quote what they stumbled over, and that may be anything, of any length.
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
      const jsonOptions = { ...STRICT_JSON, ...checked(method.input) };
      router.rpc(method, implementation, { ...options, readMaxBytes: requestBytesOf(method), jsonOptions });
      return safe;
    },
  };
  return safe;
}

/** What turns the bytes of a JSON message into the text that is then parsed: the one place where its faults can be worded. */
function checked(schema: DescMessage): { readonly textDecoder: { decode(bytes: Uint8Array): string } } {
  const utf8 = new TextDecoder();
  return {
    textDecoder: {
      decode(bytes) {
        const text = utf8.decode(bytes);
        try {
          fromJsonString(schema, text, STRICT_JSON);
        } catch (error) {
          throw toConnectError(faultOf(schema, text, error));
        }
        return text;
      },
    },
  };
}

/** With the path of the field and its rule, wherever it lies: `spec.guardrail.content_patterns[2].foo: is not known`. */
function faultOf(schema: DescMessage, text: string, error: unknown): DomainError {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return notTheMessage("the request is not JSON");
  }
  const fault = jsonFault(schema, json);
  if (fault === undefined) return notTheMessage(`the request is no ${schema.typeName} in JSON${twice(error)}`);
  const { field, rule } = fault;
  return field === "" ? notTheMessage(`the request ${rule}`) : notTheMessage(`${field}: ${rule}`, [fault]);
}

export function notTheMessage(words: string, fields: readonly FieldFault[] = []): DomainError {
  return new DomainError("invalid_argument", "FIELD_INVALID", words, { fields });
}

/** The one fault that is not to be seen any more once the text is parsed. */
function twice(error: unknown): string {
  const [, key] = /duplicate object key "(\w{1,64})"$/.exec(error instanceof Error ? error.message : "") ?? [];
  return key === undefined ? "" : `: it gives ${key} twice`;
}

function unimplemented({ parent, name }: DescMethod) {
  return () => {
    throw new ConnectError(`${parent.typeName}/${name} is not implemented`, Code.Unimplemented);
  };
}
