export { authorized } from "./authorized.ts";
export { type BreakableTransport, breakable } from "./breakable-transport.ts";
export { createAuthority, type IssuedCertificate, type TestAuthority } from "./certificates.ts";
export { cloneDatabase, createEmptyDatabase, type TestDatabase } from "./clone-database.ts";
export { connectGrpc, type GrpcClient, type GrpcOptions } from "./grpc-client.ts";
export { eventually } from "./eventually.ts";
export { SERVING } from "./serving.ts";
export { startNats, type TestNats } from "./start-nats.ts";
export { startNatsCluster, type TestNatsCluster } from "./start-nats-cluster.ts";
