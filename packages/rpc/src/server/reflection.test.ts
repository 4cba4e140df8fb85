import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { create, type DescMethod, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { KeyService } from "@routeplane/contracts/auth";
import { v1, v1alpha } from "@routeplane/contracts/reflection";
import { createLogger } from "@routeplane/runtime";
import { SERVING } from "@routeplane/testing";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { rpcChain } from "./chain.ts";
import { healthRoutes } from "./health.ts";
import { mount, startGrpcServer } from "./hot-methods.ts";
import { reflectionOf } from "./reflection.ts";
import { startRpcServer } from "./server.ts";

const chain = rpcChain({
  log: createLogger("test", () => ""),
  serviceCredentials: { callerOf: () => undefined },
  verifyToken: () => Promise.reject(new Error("reflection needs no credential")),
});
const keys = { listKeys: () => ({}) };
const at = { host: "127.0.0.1", port: 0 };
const servers = {
  Connect: await startRpcServer({
    ...at,
    ...chain,
    routes(router) {
      router.service(KeyService, keys);
      healthRoutes(SERVING)(router);
    },
  }),
  "grpc-js": await startGrpcServer({ ...at, ...chain, ...SERVING, services: [mount(KeyService, keys)] }),
};
afterAll(() => Promise.all(Object.values(servers).map((server) => server.stop())));

const STANDARD = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

describe.each(Object.entries(servers))("reflection of the %s server", (_, { port }) => {
  it("lists the services of the port and their methods for buf curl, without a credential", async () => {
    expect(await bufCurl(port, "--list-services")).toEqual([...STANDARD, KeyService.typeName]);
    const methods = await bufCurl(port, "--list-methods");
    expect(methods).toContain(`${KeyService.typeName}/MintKey`);
  });

  it("is the same for clients that know only v1alpha", async () => {
    const request = { messageRequest: { case: "listServices" as const, value: "" } };
    const info = v1alpha.ServerReflection.method.serverReflectionInfo;
    const [response] = await ask(port, info, [create(info.input, request)]);
    const { messageResponse } = fromBinary(info.output, response!);
    expect(messageResponse.value).toMatchObject({
      service: [...STANDARD, KeyService.typeName].map((name) => ({ name })),
    });
  });

  it("returns the file of a symbol with all its imports, and no import twice in one stream", async () => {
    const file = "routeplane/auth/v1/key_service.proto";
    const [bySymbol, byMethod, byField, byName] = await filesOf(port, [
      { case: "fileContainingSymbol", value: KeyService.typeName },
      { case: "fileContainingSymbol", value: `${KeyService.typeName}.MintKey` },
      { case: "fileContainingSymbol", value: "routeplane.auth.v1.Key.parent_id" },
      { case: "fileByFilename", value: file },
    ]);
    expect(bySymbol!.map(({ name }) => name)).toEqual(
      expect.arrayContaining([file, "buf/validate/validate.proto", "google/protobuf/timestamp.proto"]),
    );
    const known = new Set(bySymbol!.map(({ name }) => name));
    for (const imported of bySymbol!.flatMap(({ dependency }) => dependency)) expect(known).toContain(imported);
    for (const again of [byMethod, byField, byName]) expect(again!.map(({ name }) => name)).toEqual([file]);
  });

  it("finds extensions by the message that they extend", async () => {
    const containingType = "google.protobuf.MethodOptions";
    const [numbers, extension] = await answersOf(port, [
      { case: "allExtensionNumbersOfType", value: containingType },
      { case: "fileContainingExtension", value: { containingType, extensionNumber: 50100 } },
    ]);
    expect(numbers).toMatchObject({ value: { baseTypeName: containingType, extensionNumber: [50100, 50101] } });
    expect(namesOf(extension)).toContain("routeplane/access/v1/access.proto");
  });

  it.each<Request>([
    { case: "fileByFilename", value: "other.proto" },
    { case: "fileContainingSymbol", value: "routeplane.usage.v1.UsageService" },
    { case: "fileContainingSymbol", value: `${KeyService.typeName}.Other` },
    { case: "fileContainingSymbol", value: "" },
    { case: "fileContainingExtension", value: { containingType: "google.protobuf.MethodOptions", extensionNumber: 1 } },
    { case: "allExtensionNumbersOfType", value: "routeplane.Other" },
  ])("answers NOT_FOUND within the stream for $case $value", async (request) => {
    const [answer, after] = await answersOf(port, [request, { case: "listServices", value: "" }]);
    expect(answer).toMatchObject({ case: "errorResponse", value: { errorCode: status.NOT_FOUND } });
    expect(after?.case).toBe("listServicesResponse");
  });

  it("refuses more than 1000 requests in a stream, and a name of more than 1000 characters", async () => {
    const lists = (length: number) => Array.from({ length }, (): Request => ({ case: "listServices", value: "" }));
    expect(await answersOf(port, lists(1000))).toHaveLength(1000);
    const tooMany = answersOf(port, lists(1001));
    await expect(tooMany).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    const tooLong = answersOf(port, [{ case: "fileByFilename", value: "x".repeat(1001) }]);
    await expect(tooLong).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

it("ends a stream whose requests go on for longer than a call may take", () => {
  let now = 0;
  const answer = reflectionOf([KeyService], () => now)();
  const request = create(v1.ServerReflectionRequestSchema, { messageRequest: { case: "listServices", value: "" } });
  now = 30_000;
  expect(answer(request).messageResponse.case).toBe("listServicesResponse");
  now = 30_001;
  expect(() => answer(request)).toThrow("the deadline has passed");
});

const INFO = v1.ServerReflection.method.serverReflectionInfo;
type Request = NonNullable<MessageInitShape<typeof INFO.input>["messageRequest"]>;
type Answer = v1.ServerReflectionResponse["messageResponse"];

async function answersOf(port: number, requests: readonly Request[]): Promise<readonly Answer[]> {
  const messages = requests.map((messageRequest) => create(INFO.input, { messageRequest }));
  const responses = await ask(port, INFO, messages);
  return responses.map((bytes) => fromBinary(INFO.output, bytes).messageResponse);
}

async function filesOf(port: number, requests: readonly Request[]) {
  return (await answersOf(port, requests)).map(filesIn);
}

function filesIn(answer: Answer | undefined) {
  const encoded = answer?.case === "fileDescriptorResponse" ? answer.value.fileDescriptorProto : [];
  return encoded.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

const namesOf = (answer: Answer | undefined) => filesIn(answer).map(({ name }) => name);

function open(port: number): Client {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => client.close());
  return client;
}

const asIs = (bytes: Buffer): Buffer => bytes;

function bidi(client: Client, { parent, name }: DescMethod) {
  return client.makeBidiStreamRequest(`/${parent.typeName}/${name}`, asIs, asIs);
}

/** Sends all messages in one stream. @returns all responses; rejects with the status of a stream that fails */
function ask(port: number, method: DescMethod, messages: readonly Parameters<typeof toBinary>[1][]): Promise<Buffer[]> {
  const call = bidi(open(port), method);
  const responses: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Buffer[]>();
  call.on("data", (bytes: Buffer) => responses.push(bytes));
  call.on("error", (error: ServiceError) => reject(error));
  call.on("end", () => resolve(responses));
  for (const message of messages) call.write(Buffer.from(toBinary(method.input, message)));
  call.end();
  return promise;
}

async function bufCurl(port: number, what: string): Promise<readonly string[]> {
  const buf = join(import.meta.dirname, "../../../../node_modules/.bin/buf");
  const options = ["--protocol", "grpc", "--http2-prior-knowledge"];
  const { stdout } = await promisify(execFile)(buf, ["curl", what, ...options, `http://127.0.0.1:${port}`]);
  return stdout.trim().split("\n").toSorted();
}
