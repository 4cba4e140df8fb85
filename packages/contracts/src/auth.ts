export * from "./gen/routeplane/auth/v1/account_service_pb.js";
export * from "./gen/routeplane/auth/v1/audit_service_pb.js";
export * from "./gen/routeplane/auth/v1/identity_service_pb.js";
export * from "./gen/routeplane/auth/v1/key_service_pb.js";
export * from "./gen/routeplane/auth/v1/namespace_service_pb.js";
export * from "./gen/routeplane/auth/v1/operator_service_pb.js";
export * from "./gen/routeplane/auth/v1/service_credential_service_pb.js";
export * from "./gen/routeplane/auth/v1/verification_service_pb.js";
