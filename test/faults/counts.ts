/**
 * How often and how long the faults are made: little in every run of the tests, in full with `npm run faults`
 * (`ROUTEPLANE_FAULTS=full`).
 */
const isFull = process.env["ROUTEPLANE_FAULTS"] === "full";

export function inFull(full: number, little: number): number {
  return isFull ? full : little;
}
