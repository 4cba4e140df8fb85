/**
 * Servers of the services and their chain of checks. Separate from the rest of the package, which gateways use too, because the rules of
 * messages take 5 MB of a process.
 */
export { type RpcChain, rpcChain } from "./chain.ts";
export type { RpcChainOptions } from "./chain-options.ts";
export { type GrpcServerOptions, mount, type MountedService, startGrpcServer } from "./hot-methods.ts";
export { type RpcServerOptions, startRpcServer } from "./server.ts";
export { type FieldBounds, fieldBoundsOf } from "./field-bounds.ts";
export { warmValidation } from "./validate.ts";
