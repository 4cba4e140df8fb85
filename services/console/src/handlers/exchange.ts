import type { IncomingMessage, ServerResponse } from "node:http";
import { newId } from "@routeplane/domain";
import type { PageOrigin } from "./page-origin.ts";

/** Time after which a client that reads nothing of its response is disconnected. */
const STALL_TIMEOUT_MS = 30_000;

/** Origin of a request: the page that made it, and the address of its browser. */
export interface ExchangeOrigin {
  readonly page: PageOrigin;
  readonly clientAddress: string;
}

/** HTTP request and its response. */
export class Exchange {
  readonly requestId = newId("req");
  readonly method: string;
  /** Path of the URL, without the query. */
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly page: PageOrigin;
  /** Address of the browser, as reported by trusted proxies; empty if unknown. */
  readonly clientAddress: string;
  readonly #left = new AbortController();

  constructor(request: IncomingMessage, response: ServerResponse, { page, clientAddress }: ExchangeOrigin) {
    const { method = "GET", url = "/" } = request;
    this.method = method;
    this.path = url.split("?", 1)[0] ?? "/";
    this.request = request;
    this.response = response;
    this.page = page;
    this.clientAddress = clientAddress;
    response.once("close", () => this.#left.abort());
    // A client that resets its connection is not an error of this process.
    response.on("error", () => this.#left.abort());
  }

  /** Aborted once the client has disconnected, or has received the whole response. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  /** Breaks off the response. */
  cancel(): void {
    this.response.destroy();
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.response.writeHead(status, headers);
    this.response.flushHeaders();
  }

  /** Sends bytes at the pace of the client. @throws Error if the client disconnects, or reads nothing for 30 s */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.signal.aborted) throw new Error("the client has left");
    if (this.response.write(bytes)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onLeft = (): void => reject(new Error("the client has left"));
    const timer = setTimeout(() => this.cancel(), STALL_TIMEOUT_MS);
    this.response.once("drain", resolve);
    this.signal.addEventListener("abort", onLeft);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.response.off("drain", resolve);
      this.signal.removeEventListener("abort", onLeft);
    }
  }

  end(bytes?: Uint8Array): void {
    this.response.end(bytes);
  }

  /** Sends a whole response; the body is left out for HEAD. */
  send(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): void {
    this.response.writeHead(status, { ...headers, "content-length": String(body.length) });
    this.response.end(this.method === "HEAD" ? undefined : body);
  }

  sendJson(status: number, body: unknown): void {
    const headers = { "content-type": "application/json", "cache-control": "no-store" };
    this.send(status, headers, Buffer.from(JSON.stringify(body)));
  }
}
