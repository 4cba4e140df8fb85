import type { Dependencies } from "@routeplane/runtime";
import type { Route } from "./router.ts";

/** `GET /healthz`: 200 while requests can be served, else 503; the body has the state of each dependency. Needs no credential. */
export function healthRoute(dependencies: Dependencies): Route {
  return {
    method: "GET",
    path: "/healthz",
    reaches: "gateway",
    isProbe: true,
    async handle(exchange) {
      const { isServing, body } = await dependencies.report();
      await exchange.sendJson(isServing ? 200 : 503, body);
    },
  };
}
