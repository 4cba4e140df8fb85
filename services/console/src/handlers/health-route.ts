import type { Dependencies } from "@routeplane/runtime";
import type { Exchange } from "./exchange.ts";
import { methodNotAllowed } from "./refusal.ts";

/** `GET /healthz`: 200 while people can sign in, else 503; the body has the state of each dependency. */
export function createHealthRoute(dependencies: Dependencies): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    if (exchange.method !== "GET" && exchange.method !== "HEAD") throw methodNotAllowed("GET");
    const { isServing, body } = await dependencies.report();
    exchange.sendJson(isServing ? 200 : 503, body);
  };
}
