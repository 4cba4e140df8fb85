import { request as open } from "node:http";
import { text } from "node:stream/consumers";

export interface RawAnswer {
  readonly status: number;
  readonly body: string;
}

export interface RawRequest {
  readonly method?: string;
  /** Names and values, alternating, as they are sent: a name may occur twice. */
  readonly headers?: readonly string[];
  readonly body?: string;
}

/** Sends a request with its target unnormalised. A response that arrives before everything is sent is accepted too. */
export function rawRequest(port: number, target: string, { method = "POST", headers = [], body }: RawRequest = {}) {
  return new Promise<RawAnswer>((resolve, reject) => {
    const sentHeaders = ["host", `127.0.0.1:${port}`, ...headers];
    if (body !== undefined) sentHeaders.push("content-length", `${Buffer.byteLength(body)}`);
    const request = open({ host: "127.0.0.1", port, path: target, method, headers: sentHeaders, agent: false });
    request.on("response", (response) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}
