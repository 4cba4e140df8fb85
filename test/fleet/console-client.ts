import { request } from "node:http";
import { text } from "node:stream/consumers";

/** Address of a console, and the host name of requests to it: it serves no other. */
export interface ConsoleAddress {
  readonly address: string;
  readonly port: number;
}

export interface ConsoleAnswer {
  readonly status: number;
  readonly body: string;
  /** Cookie that the answer sets, for further requests; empty if it sets none or removes it. */
  readonly cookie: string;
}

const TIMEOUT_MS = 20_000;

/** Makes a request as the page of a console does, with the cookie of a session. */
export function askConsole(
  { address, port }: ConsoleAddress,
  method: string,
  path: string,
  { cookie = "", body }: { readonly cookie?: string; readonly body?: object } = {},
): Promise<ConsoleAnswer> {
  const headers = {
    host: `127.0.0.1:${port}`,
    "x-routeplane-console": "1",
    "content-type": "application/json",
    ...(cookie !== "" && { cookie }),
  };
  return new Promise((resolve, reject) => {
    const options = { host: address, port, method, path, headers, agent: false, timeout: TIMEOUT_MS };
    const sent = request(options, (response) => {
      const [pair = ""] = (response.headers["set-cookie"]?.[0] ?? "").split(";", 1);
      text(response).then(
        (answered) =>
          resolve({ status: response.statusCode ?? 0, body: answered, cookie: pair.endsWith("=") ? "" : pair }),
        reject,
      );
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer in time"))).on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Signs in with a token. @returns the cookie. @throws Error if it is refused */
export async function signInAt(console: ConsoleAddress, token: string): Promise<string> {
  const { status, body, cookie } = await askConsole(console, "POST", "/session", { body: { token } });
  if (status !== 200 || cookie === "") throw new Error(`the sign-in was answered with ${status}: ${body}`);
  return cookie;
}
