export { auditService } from "./handler.ts";
export { auditChanges, auditLog, recordChange } from "./schema.ts";
export { type AuditSchema, createAuditStore } from "./store.ts";
