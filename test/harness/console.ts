import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestNode } from "./node.ts";

/** Setting of a node with a console, which nodes in tests do not run by default. */
export const WITH_CONSOLE = { ROUTEPLANE_CONSOLE: "on" };

/** The console of a node, called as a browser does, without a page. */
export interface ConsoleClient {
  readonly url: string;
  /** Signs in. @returns the status, and the session if that is 200 */
  signIn(proof: { readonly code: string } | { readonly token: string }): Promise<SignedIn>;
}

/** Browser that has tried to sign in. */
export interface SignedIn {
  readonly status: number;
  /** Sends a request with the cookie that the browser has at that time. */
  request(method: string, path: string, body?: object, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** Calls a method, e.g. `auth.v1.KeyService/ListKeys`. */
  call(method: string, body?: object, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** `Cookie` header. */
  cookie(): string;
}

/** Opens the console of a node that was started with `WITH_CONSOLE`. */
export async function consoleOf({ home }: Pick<TestNode, "home">): Promise<ConsoleClient> {
  const text = await readFile(join(home, "run/addresses.json"), "utf8");
  const url = `http://${(JSON.parse(text) as { readonly console: string }).console}`;
  return {
    url,
    async signIn(proof) {
      const browser = openBrowser(url);
      const { status } = await browser.request("POST", "/session", proof);
      return { ...browser, status };
    },
  };
}

function openBrowser(url: string): Omit<SignedIn, "status"> {
  let cookie = "";
  const request: SignedIn["request"] = async (method, path, body, more = {}) => {
    const headers = { "x-routeplane-console": "1", "content-type": "application/json", cookie, ...more };
    const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    const [set] = response.headers.getSetCookie();
    if (set !== undefined) cookie = set.includes("Max-Age=0;") ? "" : (set.split(";", 1)[0] ?? "");
    return response;
  };
  const call: SignedIn["call"] = (method, body = {}, headers) =>
    request("POST", `/api/routeplane.${method}`, body, headers);
  return { request, call, cookie: () => cookie };
}
