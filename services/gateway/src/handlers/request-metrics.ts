import { counter, histogram } from "@routeplane/runtime";
import { ERROR_TABLE } from "../domain/errors/error-table.ts";

const requests = counter({
  name: "routeplane_gateway_requests_total",
  help: "Requests that ended, by route and the status of their answer.",
  labels: ["route", "status"],
});
const seconds = histogram({
  name: "routeplane_gateway_request_seconds",
  help: "Time from the head of a request to the end of its answer, by route.",
  labels: ["route"],
});
const refusals = counter({
  name: "routeplane_gateway_refusals_total",
  help: "Requests that were answered with an error of docs/errors.md, by its code.",
  labels: ["code"],
});

/** Part of a route that its label names. */
interface LabelledRoute {
  readonly path: string;
  readonly reaches: string;
}

export function countRequest(route: LabelledRoute | undefined, status: number, ms: number): void {
  const label = labelOf(route);
  requests.inc({ route: label, status });
  seconds.observe({ route: label }, ms / 1_000);
}

/** @param code code of the error; one that is not in the error table is in the words of an upstream */
export function countRefusal(code: string | null): void {
  refusals.inc({ code: code !== null && Object.hasOwn(ERROR_TABLE, code) ? code : "upstream" });
}

/** Label of a route: its path, one for the whole management API, and one for what has no route. */
function labelOf(route: LabelledRoute | undefined): string {
  if (route === undefined) return "none";
  return route.reaches === "service" ? "management" : route.path;
}
