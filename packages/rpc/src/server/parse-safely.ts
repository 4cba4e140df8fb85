import { type DescMessage, type DescMethod, fromJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type MethodImpl } from "@connectrpc/connect";
import { DomainError } from "@routeplane/domain";
import { toConnectError } from "../errors.ts";
import { unknownField } from "./unknown-field.ts";

/** A field that is not in the schema is a caller's mistake, and is named. */
const STRICT = { ignoreUnknownFields: false };

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
      router.rpc(method, implementation, { ...options, jsonOptions: { ...STRICT, ...checked(method.input) } });
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
          fromJsonString(schema, text, STRICT);
        } catch (error) {
          throw toConnectError(faultOf(schema, text, error));
        }
        return text;
      },
    },
  };
}

/** With the path of a field that is none, wherever it lies: `spec.guardrail.content_patterns[2].foo`. */
function faultOf(schema: DescMessage, text: string, error: unknown): DomainError {
  const words = wordsFor(schema, error);
  const path = words.endsWith(" is unknown") ? unknownField(schema, JSON.parse(text)) : undefined;
  if (path === undefined) return new DomainError("invalid_argument", "FIELD_INVALID", words);
  const fields = [{ field: path, rule: "is not known" }];
  return new DomainError("invalid_argument", "FIELD_INVALID", `${path}: is not known (${words})`, { fields });
}

const PLACE = /^cannot decode (?:message|field|enum) [\w.]+ from JSON/;
/** What may be told of the fault: the name of a field that is none, and what was expected of one that is. */
const DETAIL = /^: (?:(?:duplicate object )?key "\w{1,64}"(?: is unknown)?$|expected [\w. ()-]{1,100}(?=, got|$))/;

function wordsFor(schema: DescMessage, error: unknown): string {
  const message = error instanceof Error ? error.message : "";
  const [place = `cannot decode message ${schema.typeName} from JSON`] = PLACE.exec(message) ?? [];
  const [detail = ""] = DETAIL.exec(message.slice(place.length)) ?? [];
  return place + detail;
}

function unimplemented({ parent, name }: DescMethod) {
  return () => {
    throw new ConnectError(`${parent.typeName}/${name} is not implemented`, Code.Unimplemented);
  };
}
