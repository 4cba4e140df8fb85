import { type DescMethod, fromBinary, type MessageInitShape, toBinary, create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Server, ServerDuplexStream } from "@grpc/grpc-js";
import { toConnectError } from "../errors.ts";
import { DomainError } from "@routeplane/domain";
import { LIMITS } from "./limits.ts";
import { messageFault } from "./parse-safely.ts";
import { REFLECTION_SERVICES, type ReflectionRequest, type ReflectionStream } from "./reflection.ts";
import { requireValid } from "./validate.ts";

type Call = ServerDuplexStream<Buffer, Buffer>;

/** Serves reflection on a grpc-js server, whose other methods are unary. It needs no credential, so it takes no chain. */
export function registerReflection(server: Server, open: () => ReflectionStream): void {
  const asIs = (bytes: Buffer): Buffer => bytes;
  for (const { typeName, method } of REFLECTION_SERVICES) {
    const info = method.serverReflectionInfo;
    const serve = (call: Call): void => answerEach(call, info, open());
    server.register(`/${typeName}/${info.name}`, serve, asIs, asIs, "bidi");
  }
}

/** Answers each request of a stream, no faster than its caller reads, for as long as a call may take. */
function answerEach(call: Call, method: DescMethod, answer: ReflectionStream): void {
  const fail = (error: unknown): void => {
    const { code, rawMessage } = error instanceof DomainError ? toConnectError(error) : ConnectError.from(error);
    call.emit("error", Object.assign(new Error(rawMessage), { code, details: rawMessage }));
    call.removeAllListeners("data").resume();
  };
  const timer = setTimeout(
    () => fail(new ConnectError("the deadline has passed", Code.DeadlineExceeded)),
    LIMITS.maxTimeoutMs,
  ).unref();
  call.once("close", () => clearTimeout(timer));
  call.on("data", (bytes: Buffer) => {
    try {
      const request = decode(method, bytes);
      requireValid(method, request);
      const response: MessageInitShape<typeof method.output> = answer(request);
      if (call.write(Buffer.from(toBinary(method.output, create(method.output, response))))) return;
      call.pause();
      call.once("drain", () => call.resume());
    } catch (error) {
      fail(error);
    }
  });
  call.once("end", () => call.end());
}

function decode({ input }: DescMethod, bytes: Buffer): ReflectionRequest {
  try {
    return fromBinary(input, bytes) as ReflectionRequest;
  } catch {
    throw messageFault(`the message is not a ${input.typeName}`);
  }
}
