import { createRegistry, type DescExtension, type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { v1, v1alpha } from "@routeplane/contracts/reflection";
import { LIMITS } from "./limits.ts";

/**
 * Server reflection of gRPC, with which clients like grpcurl, buf curl and Postman list the services of a port. It is public, as the
 * contracts are, and bounded: a stream has at most `MAX_REQUESTS` requests, lasts no longer than a call may, and gets an imported file only
 * once.
 */

/** Reflection services: old clients know only `v1alpha`, whose messages are the same. */
export const REFLECTION_SERVICES = [v1.ServerReflection, v1alpha.ServerReflection] as const;

export type ReflectionRequest = v1.ServerReflectionRequest | v1alpha.ServerReflectionRequest;

/** Answers the requests of one stream. @throws ConnectError RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED beyond its bounds */
export type ReflectionStream = <Request extends ReflectionRequest>(
  request: Request,
) => { validHost: string; originalRequest: Request; messageResponse: Answer };

type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

const MAX_REQUESTS = 1000;

/** Serves reflection of all services that the router has by now. */
export function addReflection(router: ConnectRouter): void {
  const served = new Set(router.handlers.map(({ service }) => service));
  const open = reflectionOf([...served]);
  const serverReflectionInfo = async function* <Request extends ReflectionRequest>(requests: AsyncIterable<Request>) {
    const answer = open();
    for await (const request of requests) yield answer(request);
  };
  router.service(v1.ServerReflection, { serverReflectionInfo });
  router.service(v1alpha.ServerReflection, { serverReflectionInfo });
}

/** Returns the function that begins a stream of reflection of these services. @param monotonic clock, in milliseconds */
export function reflectionOf(
  services: readonly DescService[],
  monotonic: () => number = () => performance.now(),
): () => ReflectionStream {
  const all = [...services, ...REFLECTION_SERVICES];
  const names = all.map(({ typeName }) => ({ name: typeName })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const files = withImports(all.map(({ file }) => file));
  const registry = createRegistry(...files);

  const fileOf = (symbol: string): DescFile | undefined => registry.get(symbol)?.file ?? fileOfMember(symbol);
  const fileOfMember = (symbol: string): DescFile | undefined => {
    const [, parentName = "", name = ""] = /^(.*)\.(\w+)$/.exec(symbol) ?? [];
    const parent = registry.get(parentName);
    if (parent?.kind === "service")
      return parent.methods.some((method) => method.name === name) ? parent.file : undefined;
    if (parent?.kind !== "message") return undefined;
    return parent.fields.some((field) => field.name === name) ? parent.file : undefined;
  };
  const extensionsOf = (typeName: string): readonly DescExtension[] =>
    [...registry].filter((type) => type.kind === "extension").filter(({ extendee }) => extendee.typeName === typeName);

  return () => {
    const sent = new Set<DescFile>();
    const endsAt = monotonic() + LIMITS.maxTimeoutMs;
    let requests = 0;
    const sending = (file: DescFile | undefined): Answer => {
      if (file === undefined) return NOT_FOUND;
      const unsent = withImports([file]).filter((each) => each === file || !sent.has(each));
      for (const each of unsent) sent.add(each);
      return { case: "fileDescriptorResponse", value: { fileDescriptorProto: unsent.map(encodedFile) } };
    };
    const answerTo = ({ messageRequest: { case: kind, value } }: ReflectionRequest): Answer => {
      switch (kind) {
        case "listServices":
          return { case: "listServicesResponse", value: { service: names } };
        case "fileByFilename":
          return sending(files.find((file) => file.proto.name === value));
        case "fileContainingSymbol":
          return sending(fileOf(value));
        case "fileContainingExtension": {
          const extensions = extensionsOf(value.containingType);
          return sending(extensions.find((extension) => extension.number === value.extensionNumber)?.file);
        }
        case "allExtensionNumbersOfType": {
          if (registry.getMessage(value) === undefined) return NOT_FOUND;
          const extensionNumber = extensionsOf(value).map(({ number }) => number);
          return { case: "allExtensionNumbersResponse", value: { baseTypeName: value, extensionNumber } };
        }
        case undefined:
          return failure(Code.InvalidArgument, "the request asks for nothing");
      }
    };
    return (request) => {
      requests += 1;
      if (requests > MAX_REQUESTS) {
        throw new ConnectError(`more than ${MAX_REQUESTS} requests in a stream`, Code.ResourceExhausted);
      }
      if (monotonic() > endsAt) throw new ConnectError("the deadline has passed", Code.DeadlineExceeded);
      return { validHost: request.host, originalRequest: request, messageResponse: answerTo(request) };
    };
  };
}

function failure(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

const NOT_FOUND = failure(Code.NotFound, "this port serves nothing of this name");

/** Files with all that they import, each once. */
function withImports(files: readonly DescFile[]): readonly DescFile[] {
  const all = new Set(files);
  // The iteration of a set includes entries that are added meanwhile.
  for (const { dependencies } of all) for (const file of dependencies) all.add(file);
  return [...all];
}

const ENCODED_FILES = new WeakMap<DescFile, Uint8Array>();

function encodedFile(file: DescFile): Uint8Array {
  const encoded = ENCODED_FILES.get(file) ?? toBinary(FileDescriptorProtoSchema, file.proto);
  ENCODED_FILES.set(file, encoded);
  return encoded;
}
