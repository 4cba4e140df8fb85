import type { ServiceCredential } from "@routeplane/contracts/auth";
import { timeColumn } from "../../output/columns.ts";
import type { Column } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { keyStatus } from "../keys/key.ts";
import { fromProtoRequiredTime, fromProtoText, fromProtoTime } from "../values.ts";

export interface ServiceCredentialView {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: readonly string[];
  /** Namespaces that it is bound to; null for all namespaces of the node. */
  readonly namespace_ids: readonly string[] | null;
  /** Account of the operator that minted it; null if that operator is not limited to an account. */
  readonly account_id: string | null;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  readonly revoked_reason: string | null;
}

export function fromProtoServiceCredential(service: ServiceCredential): ServiceCredentialView {
  return {
    id: service.id,
    name: service.name,
    prefix: service.prefix,
    scopes: service.scopes,
    namespace_ids: service.allNamespaces ? null : service.namespaceIds,
    account_id: fromProtoText(service.accountId),
    created_at: fromProtoRequiredTime(service.createdAt),
    expires_at: fromProtoTime(service.expiresAt),
    revoked_at: fromProtoTime(service.revokedAt),
    revoked_reason: fromProtoText(service.revokedReason),
  };
}

export const SERVICE_CREDENTIAL_COLUMNS: readonly Column<ServiceCredentialView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "NAME", cell: ({ name }) => name },
  { header: "PREFIX", leaveOutRank: 3, cell: ({ prefix }) => prefix },
  { header: "STATUS", cell: (service) => keyStatus(service, Date.now()) },
  {
    header: "NAMESPACES",
    name: "namespace_ids",
    leaveOutRank: 4,
    cell: ({ namespace_ids }) => namespace_ids?.join(" ") ?? "all",
    value: ({ namespace_ids }) => namespace_ids?.join(" "),
  },
  timeColumn("CREATED", "created_at", { leaveOutRank: 2 }),
  { header: "SCOPES", leaveOutRank: 1, cell: ({ scopes }) => scopes.join(" ") },
];

export function serviceCredentialFields(service: ServiceCredentialView): readonly [string, string][] {
  return [
    ["id", service.id],
    ["name", service.name],
    ["prefix", service.prefix],
    ["scopes", service.scopes.join(" ")],
    ["namespaces", service.namespace_ids?.join(" ") ?? "all of the node"],
    ["created", formatTime(service.created_at)],
    ["expires", service.expires_at === null ? "never by itself" : formatTime(service.expires_at)],
    ["revoked", service.revoked_at === null ? "no" : formatTime(service.revoked_at)],
    ...(service.revoked_reason === null ? [] : [["reason", service.revoked_reason] as [string, string]]),
  ];
}
