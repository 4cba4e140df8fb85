export { AUTH_ACTIONS, POLICY_ACTIONS, USAGE_ACTIONS } from "./actions.ts";
export { auditService } from "./audit-service.ts";
export { auditChanges, auditLog, labelActions, recordChange } from "./schema.ts";
export { type AuditSchema, createAuditStore } from "./store.ts";
