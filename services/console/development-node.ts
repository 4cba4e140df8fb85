import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import type { Plugin } from "vite";

/**
 * Stands in for the console's server while the app is developed: relays `/api` to the gateway of a running node with the key that
 * the node saved, and answers `GET /session` from that key's identity. `ROUTEPLANE_HOME` is the node's folder.
 */
export function developmentNode(): Plugin {
  return {
    name: "development-node",
    apply: "serve",
    configureServer({ middlewares }) {
      const home = process.env["ROUTEPLANE_HOME"] ?? join(import.meta.dirname, "../../.routeplane");
      const read = (file: string): string => readFileSync(join(home, file), "utf8").trim();
      middlewares.use("/api", (request, response) => void relay(request, response, read).catch(() => fail(response)));
      middlewares.use("/session", (_, response) => void session(response, read).catch(() => fail(response)));
    },
  };
}

type Read = (file: string) => string;

async function relay(request: IncomingMessage, response: ServerResponse, read: Read): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const kept = ["content-type", "accept", "connect-protocol-version", "connect-timeout-ms"];
  const headers = Object.fromEntries(
    kept.flatMap((name) => (request.headers[name] ? [[name, String(request.headers[name])]] : [])),
  );
  const isOperatorCall = /OperatorService|UsageAdminService|BudgetAdminService/.test(request.url ?? "");
  const answer = await fetch(`${read("url")}${request.url}`, {
    method: "POST",
    headers: { ...headers, authorization: `Bearer ${read(isOperatorCall ? "operator-key" : "api-key")}` },
    body: Buffer.concat(chunks),
  });
  response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
  for await (const chunk of answer.body ?? []) response.write(chunk);
  response.end();
}

async function session(response: ServerResponse, read: Read): Promise<void> {
  const answer = await fetch(`${read("url")}/routeplane.auth.v1.IdentityService/WhoAmI`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${read("api-key")}` },
    body: "{}",
  });
  const { key } = (await answer.json()) as { key: Record<string, string | string[]> };
  response.writeHead(200, { "content-type": "application/json" });
  response.end(
    JSON.stringify({
      kind: "namespace",
      namespace_id: key["namespaceId"],
      namespace_name: key["namespaceName"],
      name: key["name"],
      scopes: key["scopes"],
      expires_at: new Date(Date.now() + 12 * 3_600_000).toISOString(),
      can_switch: true,
      gateway_url: read("url"),
    }),
  );
}

function fail(response: ServerResponse): void {
  response.writeHead(502, { "content-type": "application/json" });
  response.end(JSON.stringify({ code: "unavailable", message: "the node of ROUTEPLANE_HOME does not answer" }));
}
