import { create, type DescMethod, type DescMethodUnary } from "@bufbuild/protobuf";
import { fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { Metadata, type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall } from "@grpc/grpc-js";
import { Health } from "@routeplane/contracts/health";
import { DomainError } from "@routeplane/domain";
import { REQUEST_ID } from "../headers.ts";
import { GrpcCall } from "./grpc-call.ts";
import { registerReflection } from "./grpc-reflection.ts";
import { healthService } from "./health.ts";
import { type GrpcServerOptions, mount } from "./hot-methods.ts";
import { type ServiceTls, serverTlsOptions } from "../tls.ts";
import { DRAIN_TIMEOUT_MS, type DrainOptions, LIMITS } from "./limits.ts";
import { reflectionOf } from "./reflection.ts";
import type { RpcServer } from "./server.ts";
import type { UnaryChain } from "./unary-chain.ts";

/**
 * Starts a gRPC-only server on a port of its own, for the hot methods: a call through Connect's gRPC costs several times as much CPU
 * (test/bench/verify.ts). Handlers, checks and limits are those of the Connect server; only the transport differs.
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<RpcServer> {
  const server = new Server({
    "grpc.max_receive_message_length": LIMITS.readMaxBytes,
    "grpc.max_concurrent_streams": LIMITS.maxConcurrentStreams,
    "grpc.max_connection_age_ms": options.maxSessionAgeMs ?? LIMITS.maxSessionAgeMs,
    "grpc.max_connection_age_grace_ms": LIMITS.maxTimeoutMs,
    "grpc.enable_channelz": 0,
  });
  const serves = (name: string): boolean => mounted.some(({ service }) => service.typeName === name);
  const mounted = [...options.services, mount(Health, healthService(options, serves))];
  for (const { service, implementation } of mounted) {
    for (const method of service.methods) {
      const handler = implementation[method.localName];
      if (isUnary(method) && typeof handler === "function") {
        const serve = unaryHandler(method, handler.bind(implementation) as Handler, options.unaryChain);
        server.register(`/${service.typeName}/${method.name}`, serve, identity, identity, "unary");
      }
    }
  }
  registerReflection(server, reflectionOf(mounted.map(({ service }) => service)));
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  const port = await listen(server, `${host}:${options.port}`, credentialsOf(options.tls));
  let draining: Promise<void> | undefined;
  const drain = (drainOptions: DrainOptions): Promise<void> =>
    (draining ??= drainConnections(server, `${host}:${port}`, drainOptions));
  return { name: `gRPC server on port ${port}`, port, drain, stop: () => drain({ timeoutMs: DRAIN_TIMEOUT_MS }) };
}

type Handler = (message: Message, context: HandlerContext) => Promise<Init> | Init;
type Init = MessageInitShape<DescMethodUnary["output"]>;
type Message = MessageShape<DescMethodUnary["input"]>;
type Respond = sendUnaryData<Buffer>;

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

/** Serializer of grpc-js. Messages are decoded in the chain and not here, so a malformed one is an error like any other. */
function identity(bytes: Buffer): Buffer {
  return bytes;
}

function unaryHandler(method: DescMethodUnary, handler: Handler, chain: UnaryChain) {
  return (grpcCall: ServerUnaryCall<Buffer, Buffer>, respond: Respond): void => {
    const call = new GrpcCall(method, grpcCall);
    chain(call, {
      decode: () => decode(method, grpcCall.request),
      handle(request) {
        const response = handler(request, call);
        if (response instanceof Promise) return response.then((init) => encode(method, init));
        return encode(method, response);
      },
      answer(outcome, requestId) {
        if (outcome instanceof ConnectError) return respond(toStatus(outcome));
        const { header, trailer } = call.responseFields;
        const metadata = header === undefined ? new Metadata() : toMetadata(header);
        metadata.set(REQUEST_ID, requestId);
        grpcCall.sendMetadata(metadata);
        respond(null, outcome, trailer && toMetadata(trailer));
      },
    });
  };
}

function decode(method: DescMethodUnary, bytes: Buffer): Message {
  try {
    return fromBinary(method.input, bytes);
  } catch (error) {
    const message = `the message is not a ${method.input.typeName}`;
    throw new DomainError("invalid_argument", "FIELD_INVALID", message, { cause: error });
  }
}

const ENCODED_MESSAGES = new WeakMap<Message, Buffer>();

/** Encodes a response. A frozen response is encoded only once, because encoding is a tenth of the cost of a call. */
function encode(method: DescMethodUnary, response: Init): Buffer {
  const message = create(method.output, response);
  const encoded = ENCODED_MESSAGES.get(message);
  if (encoded !== undefined) return encoded;
  const bytes = Buffer.from(toBinary(method.output, message));
  if (Object.isFrozen(message)) ENCODED_MESSAGES.set(message, bytes);
  return bytes;
}

/** Status of an error, with its details in `grpc-status-details-bin` as Connect's gRPC writes them. */
function toStatus(error: ConnectError) {
  const trailer = setTrailerStatus(new Headers(), error);
  for (const name of ["grpc-status", "grpc-message"]) trailer.delete(name);
  const code: number = error.code;
  return { code, details: error.rawMessage, metadata: toMetadata(trailer) };
}

function toMetadata(headers: Headers): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of headers) {
    metadata.set(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}

function listen(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync(address, credentials, (error, port) => {
    if (error === null) resolve(port);
    else reject(error);
  });
  return promise;
}

function credentialsOf(tls: ServiceTls | undefined): ServerCredentials {
  const options = serverTlsOptions(tls);
  if (tls === undefined || options === undefined) return ServerCredentials.createInsecure();
  return new CertifiedCredentials(tls, options);
}

/** Credentials of a server that presents the certificates as they are when a connection is made. */
class CertifiedCredentials extends ServerCredentials {
  constructor({ certificates }: ServiceTls, options: NonNullable<ReturnType<typeof serverTlsOptions>>) {
    super(options, certificates.current);
    certificates.onChange((changed) => this.updateSecureContextOptions(changed));
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

/**
 * Drains the server. `forceShutdown` would end nothing: without channelz, grpc-js does not know its connections. Nor is there a way to
 * end connections that drain already, so when the drain is cut short, calls that still run are left to the end of the process.
 */
async function drainConnections(server: Server, address: string, { timeoutMs, signal }: DrainOptions): Promise<void> {
  server.drain(address, timeoutMs);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.tryShutdown(() => resolve());
  if (signal?.aborted === true) resolve();
  signal?.addEventListener("abort", () => resolve(), { once: true });
  await promise;
}
