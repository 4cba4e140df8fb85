/** Contracts of a node, generated from `proto/`: messages, services and enumerations, by domain. */
export * as auth from "@routeplane/contracts/auth";
export * as policy from "@routeplane/contracts/policy";
export * as usage from "@routeplane/contracts/usage";
export { Reason } from "@routeplane/contracts/errors";
