import type { DescEnum, DescMessage, DescMethod, DescService } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { codeToHttpStatus, codeToString } from "@connectrpc/connect/protocol-connect";
import { type AccessRule, accessOf, isInternal, operatorScopeOf } from "@routeplane/rpc";
import { commentOf, domainOf, typesWithin } from "../contracts.ts";
import { referTo, schemaName, type Schema } from "./field-schema.ts";
import { enumSchema, messageSchema } from "./message-schema.ts";

/** Creates the OpenAPI description of the management API: every method that the gateway relays, by Connect with JSON. */
export function openApiDocument(services: readonly DescService[]): Schema {
  const methods = services.flatMap((service) => service.methods).filter((method) => !isInternal(method));
  const parents = new Set(methods.map(({ parent }) => parent));
  return {
    openapi: "3.1.0",
    info: { title: "Routeplane management API", version: "v1", description: DESCRIPTION },
    servers: [{ url: "http://127.0.0.1:8080", description: "A node on this machine" }],
    tags: [...parents].map((service) => ({ name: tagOf(service), description: commentOf(service) })),
    paths: Object.fromEntries(methods.map((method) => [`/${method.parent.typeName}/${method.name}`, pathOf(method)])),
    components: {
      securitySchemes: SECURITY_SCHEMES,
      responses: { Error: ERROR_RESPONSE },
      schemas: { ...schemasOf(methods), Error: ERROR },
    },
  };
}

const DESCRIPTION = `Generated from the contracts in \`proto/\`. Do not edit.

Every method is a POST with a JSON object, at the address of the gateway. Members have the names below in lower camel case; a response leaves out
members that are zero, empty or false. Numbers of 64 bits are texts in responses. Times are RFC 3339 with an offset.

Further members may be added to responses. A request with a member that is not known is refused.

A call ends after 30 s at most; \`Connect-Timeout-Ms\` asks for less. \`docs/errors.md\` lists the reasons of errors.`;

const SECURITY_SCHEMES = {
  key: {
    type: "http",
    scheme: "bearer",
    description: "Key of a namespace, `rp_…`, or the credential of a session in one.",
  },
  operator: { type: "http", scheme: "bearer", description: "Credential of an operator of the node, `rpo_…`." },
};

function tagOf(service: DescService): string {
  return `${domainOf(service.typeName)}.${service.name}`;
}

function pathOf(method: DescMethod): Schema {
  const comment = commentOf(method);
  return {
    post: {
      operationId: `${tagOf(method.parent)}.${method.name}`,
      tags: [tagOf(method.parent)],
      summary: /^.*?\.(?=\s|$)/s.exec(comment)?.[0].replaceAll("\n", " "),
      description: comment,
      security: accessOf(method).flatMap(securityOf),
      requestBody: { required: true, content: contentOf(method, method.input) },
      responses: {
        200: { description: responseText(method), content: contentOf(method, method.output) },
        ...Object.fromEntries(statusesOf(method, comment).map((status) => [status, ERROR_REFERENCE])),
        default: ERROR_REFERENCE,
      },
    },
  };
}

/** Credentials that a rule admits, with the scope that they need. */
function securityOf(rule: AccessRule): readonly Schema[] {
  const operatorScope = operatorScopeOf(rule);
  if (operatorScope !== undefined) return [{ operator: [operatorScope] }];
  switch (rule) {
    case "public":
      return [{}];
    case "credential":
      return [{ key: [] }, { operator: [] }];
    case "key":
      return [{ key: [] }];
    default:
      return [{ key: [rule] }];
  }
}

/** Body of a message. Those of a stream are in envelopes, which no schema describes. */
function contentOf(method: DescMethod, message: DescMessage): Schema {
  if (method.methodKind === "unary") return { "application/json": { schema: referTo(message.typeName) } };
  return { "application/connect+json": { schema: { type: "string", format: "binary" } } };
}

function responseText({ methodKind, input, output }: DescMethod): string {
  if (methodKind === "unary") return "The call succeeded.";
  const types = `\`${schemaName(input.typeName)}\` and of each \`${schemaName(output.typeName)}\``;
  return `A stream. The JSON of the ${types} is in an envelope of the Connect protocol: a byte of flags and four of length.`;
}

/** HTTP statuses of the errors that the comment of a method names, and of the errors of every method. */
function statusesOf(method: DescMethod, comment: string): readonly number[] {
  if (method.methodKind !== "unary") return [];
  const codes = Object.values(Code).filter((code) => typeof code === "number");
  const named = codes.filter((code) => new RegExp(`\\b${codeToString(code).toUpperCase()}\\b`).test(comment));
  const common = [
    Code.InvalidArgument,
    Code.Unauthenticated,
    Code.PermissionDenied,
    Code.ResourceExhausted,
    Code.Unavailable,
  ];
  return [...new Set([...common, ...named].map(codeToHttpStatus))].toSorted((a, b) => a - b);
}

const ERROR_REFERENCE = { $ref: "#/components/responses/Error" };

const ERROR_RESPONSE = {
  description: "The call failed. Its status follows from the code.",
  headers: {
    "Retry-After": {
      description: "Seconds until a try can succeed, where that is known.",
      schema: { type: "integer" },
    },
  },
  content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
};

const ERROR = {
  type: "object",
  description: "Error of a call.",
  required: ["code"],
  properties: {
    code: {
      type: "string",
      description: "Code of the error, in lower case.",
      enum: Object.values(Code)
        .filter((code) => typeof code === "number")
        .map(codeToString),
    },
    message: { type: "string", description: "Text for people." },
    details: {
      type: "array",
      description: "Details. The reason, for programs, is that of `google.rpc.ErrorInfo`.",
      items: {
        type: "object",
        required: ["type", "value"],
        properties: {
          type: { type: "string", examples: ["google.rpc.ErrorInfo"] },
          value: { type: "string", description: "The message in binary, in base64 without padding." },
          debug: {
            type: "object",
            description: "The same in JSON.",
            properties: {
              reason: { type: "string", examples: ["SCOPE_MISSING"] },
              domain: { type: "string", const: "routeplane" },
              metadata: { type: "object", additionalProperties: { type: "string" } },
            },
          },
        },
      },
    },
  },
};

function schemasOf(methods: readonly DescMethod[]): Schema {
  const inRequests = typesWithin(methods.map(({ input }) => input));
  const inResponses = typesWithin(methods.map(({ output }) => output));
  const schemaOf = (type: DescEnum | DescMessage): Schema => {
    if (type.kind === "enum") return enumSchema(type);
    const isClosed = !inResponses.has(type);
    return messageSchema(type, inRequests.has(type) ? "request" : "response", isClosed);
  };
  const all = [...new Set([...inRequests, ...inResponses])];
  const named = all.map((type) => [schemaName(type.typeName), schemaOf(type)] as const);
  return Object.fromEntries(named.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
