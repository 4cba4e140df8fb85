import { create, type DescMessage, type DescMethodUnary, fromBinary } from "@bufbuild/protobuf";
import { type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";

export interface GrpcOptions {
  /** Sent as a bearer token. */
  readonly token?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Time limit of the call; 10 s by default. */
  readonly timeoutMs?: number;
}

/** Client of grpc-js, which represents internal services in other languages. Its errors are those of grpc-js. */
export interface GrpcClient {
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options?: GrpcOptions,
  ): Promise<MessageShape<O>>;
  /** Sends any bytes to any path. */
  send(path: string, bytes: Uint8Array, options?: GrpcOptions): Promise<Buffer>;
  close(): void;
}

export function connectGrpc(address: string): GrpcClient {
  const client = new Client(address, credentials.createInsecure());
  const asIs = (bytes: Buffer): Buffer => bytes;
  const send: GrpcClient["send"] = (path, bytes, { token, metadata: entries = {}, timeoutMs = 10_000 } = {}) => {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(entries)) metadata.set(name, value);
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const deadline = Date.now() + timeoutMs;
    client.makeUnaryRequest(path, asIs, asIs, Buffer.from(bytes), metadata, { deadline }, (error, response) =>
      response === undefined ? reject(error ?? new Error("no answer")) : resolve(response),
    );
    return promise;
  };
  return {
    send,
    async call(method, request, options) {
      const bytes = toBinary(method.input, create(method.input, request));
      return fromBinary(method.output, await send(`/${method.parent.typeName}/${method.name}`, bytes, options));
    },
    close: () => client.close(),
  };
}
