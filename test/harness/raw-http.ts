import { request as open } from "node:http";
import { text } from "node:stream/consumers";

export interface RawAnswer {
  readonly status: number;
  readonly body: string;
}

export interface RawRequest {
  readonly method?: string;
  /** Names and values in turn, as they go over the wire: a name may come twice. */
  readonly headers?: readonly string[];
  readonly body?: string;
}

/** Sends a request whose target nobody has tidied up. An answer that comes before all was sent counts. */
export function rawRequest(port: number, target: string, { method = "POST", headers = [], body }: RawRequest = {}) {
  return new Promise<RawAnswer>((resolve, reject) => {
    const all = ["host", `127.0.0.1:${port}`, ...headers];
    if (body !== undefined) all.push("content-length", `${Buffer.byteLength(body)}`);
    const request = open({ host: "127.0.0.1", port, path: target, method, headers: all, agent: false });
    request.on("response", (response) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}
