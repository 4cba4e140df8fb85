import { useParams } from "wouter";
import { AuditDetail } from "./audit-detail.tsx";
import { AuditLog } from "./audit-log.tsx";

/** Audit: who changed what, from and to. */
export default function Audit() {
  const { id } = useParams<{ readonly id?: string }>();
  return id === undefined ? <AuditLog /> : <AuditDetail id={id} />;
}
