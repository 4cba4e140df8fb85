import { useParams } from "wouter";
import { AuditDetail } from "./audit-detail.tsx";
import { AuditLog } from "./audit-log.tsx";

/** Audit page: the audit log, or one entry of it. */
export default function Audit() {
  const { id } = useParams<{ readonly id?: string }>();
  return id === undefined ? <AuditLog /> : <AuditDetail id={id} />;
}
