import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** HTTP server that takes the place of a provider; the test scripts its answers. */
export interface FakeProvider {
  /** Value for `base_url`. */
  readonly baseUrl: string;
  readonly requests: readonly ReceivedRequest[];
  close(): Promise<void>;
}

export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** True once the gateway has closed the connection before the answer was complete. */
  aborted: boolean;
}

export type Answer = (response: ServerResponse, received: ReceivedRequest) => void | Promise<void>;

export async function startFakeProvider(answer: Answer): Promise<FakeProvider> {
  const requests: ReceivedRequest[] = [];
  const server = createServer((request, response) => void handle(request, response));
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString("utf8");
    const received = { path: request.url ?? "", headers: request.headers, body, aborted: false };
    response.on("close", () => (received.aborted = !response.writableFinished));
    requests.push(received);
    await answer(response, received);
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    requests,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}
