import { type DescMessage, type DescMethod, fromJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type MethodImpl } from "@connectrpc/connect";
import { DomainError } from "@routeplane/domain";
import { toConnectError } from "../errors.ts";

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
          throw toConnectError(new DomainError("invalid_argument", "FIELD_INVALID", wordsFor(schema, error)));
        }
        return text;
      },
    },
  };
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
