export * from "./gen/routeplane/usage/v1/audit_service_pb.js";
export * from "./gen/routeplane/usage/v1/usage_admin_service_pb.js";
export * from "./gen/routeplane/usage/v1/usage_service_pb.js";
export * from "./gen/routeplane/usage/v1/request_history_service_pb.js";
