import { createServer, type RequestListener } from "node:http";
import { create } from "@bufbuild/protobuf";
import { type Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";

/**
 * HTTP server in place of a node, for tests of the CLI's calls. Responses and refusals are scripted with the real contracts. End-to-end
 * tests cover a real node.
 */
export interface FakeNode extends AsyncDisposable {
  readonly url: string;
  /** Authorization header of each call, in order. */
  readonly authorizations: readonly (string | undefined)[];
}

/** @param models models that `GET /v1/models` lists; by default it has no such route */
export function startFakeNode(routes: (router: ConnectRouter) => void, models?: readonly object[]): Promise<FakeNode> {
  const rpc = connectNodeAdapter({ routes, connect: true, grpc: false, grpcWeb: false });
  return startFakeHttpServer((request, response) => {
    if (request.url === "/healthz") response.end("ok");
    else if (models !== undefined && request.url === "/v1/models")
      response.end(JSON.stringify({ object: "list", data: models }));
    else rpc(request, response);
  });
}

export async function startFakeHttpServer(answer: RequestListener): Promise<FakeNode> {
  const authorizations: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    if (request.url !== "/healthz") authorizations.push(request.headers.authorization);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the fake node listens on no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    authorizations,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Error of an RPC with the details that every service sends. */
export function refusal(
  code: Code,
  reason: string,
  message: string,
  metadata: Record<string, string> = {},
  fields: readonly { field: string; description: string }[] = [],
): ConnectError {
  const info = { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "routeplane", metadata }) };
  const bad = { desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations: [...fields] }) };
  const headers = { "x-request-id": "req-42" };
  return new ConnectError(message, code, headers, fields.length === 0 ? [info] : [info, bad]);
}
