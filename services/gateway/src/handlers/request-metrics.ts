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
  let series = seriesByRoute.get(label);
  if (series === undefined) {
    series = { ended: new Map(), seconds: seconds.series({ route: label }) };
    seriesByRoute.set(label, series);
  }
  let ended = series.ended.get(status);
  if (ended === undefined) {
    ended = requests.series({ route: label, status: String(status) });
    series.ended.set(status, ended);
  }
  ended.inc();
  series.seconds.observe(ms / 1_000);
}

/** Series of a route. There are few routes, and an answer has a status of HTTP. */
interface RouteSeries {
  /** Requests by status. */
  readonly ended: Map<number, ReturnType<typeof requests.series>>;
  readonly seconds: ReturnType<typeof seconds.series>;
}

const seriesByRoute = new Map<string, RouteSeries>();

/** @param code code of the error; one that is not in the error table is in the words of an upstream */
export function countRefusal(code: string | null): void {
  refusals.inc({ code: code !== null && Object.hasOwn(ERROR_TABLE, code) ? code : "upstream" });
}

/** Label of a route: its path, one for the whole management API, and one for requests without a route. */
function labelOf(route: LabelledRoute | undefined): string {
  if (route === undefined) return "none";
  return route.reaches === "service" ? "management" : route.path;
}
