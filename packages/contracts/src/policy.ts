export * from "./gen/routeplane/policy/v1/audit_service_pb.js";
export * from "./gen/routeplane/policy/v1/admission_service_pb.js";
export * from "./gen/routeplane/policy/v1/policy_pb.js";
export * from "./gen/routeplane/policy/v1/effective_policy_service_pb.js";
export * from "./gen/routeplane/policy/v1/enforcement_service_pb.js";
export * from "./gen/routeplane/policy/v1/policy_service_pb.js";
export * from "./gen/routeplane/policy/v1/policy_spec_pb.js";
