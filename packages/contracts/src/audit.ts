export * from "./gen/routeplane/audit/v1/audit_entry_pb.js";
