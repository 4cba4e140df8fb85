import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Time after which a key minted by a switch to another namespace expires. Milliseconds. */
const KEY_LIFE_MS = 3_600_000;

/**
 * Replaces the console's server during development of the app: relays `/api` to the gateway of a running node with a credential that the
 * node saved, and answers `/session` with the identity of that credential. It starts with the saved key. On leaving the namespace it uses
 * the operator credential, and on entering another one a key that it mints there for an hour. `ROUTEPLANE_HOME` is the node's folder.
 */
export function developmentNode(): Plugin {
  return {
    name: "development-node",
    apply: "serve",
    configureServer({ middlewares }) {
      const node = new DevelopmentNode(
        process.env["ROUTEPLANE_HOME"] ?? join(import.meta.dirname, "../../.routeplane"),
      );
      middlewares.use("/api", (request, response) => void node.relay(request, response).catch(() => fail(response)));
      middlewares.use("/session", (request, response) => {
        void node.answerSession(request, response).catch(() => fail(response));
      });
    },
  };
}

type Identity = Readonly<Record<string, string | string[]>>;

class DevelopmentNode {
  readonly #home: string;
  /** Token of the session; undefined: the token of the saved key. */
  #token: string | undefined;

  constructor(home: string) {
    this.#home = home;
  }

  async relay(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const kept = ["content-type", "accept", "connect-protocol-version", "connect-timeout-ms"];
    const headers = Object.fromEntries(
      kept.flatMap((name) => (request.headers[name] ? [[name, String(request.headers[name])]] : [])),
    );
    const answer = await fetch(`${this.#read("url")}${request.url}`, {
      method: "POST",
      headers: { ...headers, authorization: `Bearer ${this.#token ?? this.#read("api-key")}` },
      body: await readBody(request),
    });
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    for await (const chunk of answer.body ?? []) response.write(chunk);
    response.end();
  }

  async answerSession(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === "/namespace") {
      const { namespace } = JSON.parse((await readBody(request)).toString()) as { readonly namespace?: string };
      this.#token = namespace === undefined ? this.#read("operator-key") : await this.#mint(namespace);
    }
    const { key, operator } = (await this.#call(
      "IdentityService/WhoAmI",
      {},
      this.#token ?? this.#read("api-key"),
    )) as Readonly<Record<"key" | "operator", Identity | undefined>>;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(
      JSON.stringify({
        kind: operator === undefined ? "namespace" : "operator",
        namespace_id: key?.["namespaceId"],
        namespace_name: key?.["namespaceName"],
        name: (key ?? operator)?.["name"],
        scopes: (key ?? operator)?.["scopes"],
        expires_at: new Date(Date.now() + 12 * 3_600_000).toISOString(),
        can_switch: true,
        gateway_url: this.#read("url"),
      }),
    );
  }

  async #mint(namespace: string): Promise<string> {
    const scopes = ["audit:*", "inference:*", "keys:*", "namespace:*", "policy:*", "usage:*"];
    const expiresAt = new Date(Date.now() + KEY_LIFE_MS).toISOString();
    const request = { namespace, name: "console in development", scopes, expiresAt };
    const { token } = (await this.#call("KeyService/MintRootKey", request, this.#read("operator-key"))) as {
      readonly token: string;
    };
    return token;
  }

  async #call(method: string, request: object, token: string): Promise<unknown> {
    const answer = await fetch(`${this.#read("url")}/routeplane.auth.v1.${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify(request),
    });
    if (!answer.ok) throw new Error(`${method}: ${await answer.text()}`);
    return answer.json();
  }

  #read(file: string): string {
    return readFileSync(join(this.#home, file), "utf8").trim();
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function fail(response: ServerResponse): void {
  response.writeHead(502, { "content-type": "application/json" });
  response.end(JSON.stringify({ code: "unavailable", message: "the node of ROUTEPLANE_HOME does not answer" }));
}
