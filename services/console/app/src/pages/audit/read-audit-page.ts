import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { type AuditPage, mergeAuditPages } from "@routeplane/audit/merged-log";
import type { AuditFilterSchema } from "@routeplane/contracts/audit";
import { AuditService as AuthAudit } from "@routeplane/contracts/auth";
import { AuditService as PolicyAudit } from "@routeplane/contracts/policy";
import { AuditService as UsageAudit } from "@routeplane/contracts/usage";
import type { LogName } from "./audit-filter.ts";

/** Log that could not be read, and why. */
interface UnreadLog {
  readonly log: LogName;
  readonly error: ConnectError;
}

/** Page of the merged log, and the logs that are missing from it. */
export interface ReadAuditPage extends AuditPage {
  readonly unread: readonly UnreadLog[];
}

interface PageRequest {
  readonly filter: MessageInitShape<typeof AuditFilterSchema>;
  readonly pageSize: number;
  readonly pageToken: string;
}

/**
 * Reads one page of the merged logs. A log whose service does not answer is left out and named, so that the others are shown.
 *
 * @throws ConnectError the first one, if no log can be read, or the session has ended
 */
export async function readAuditPage(
  transport: Transport,
  logs: readonly LogName[],
  request: PageRequest,
  signal?: AbortSignal,
): Promise<ReadAuditPage> {
  const services = { auth: AuthAudit, policy: PolicyAudit, usage: UsageAudit };
  const options = signal === undefined ? {} : { signal };
  const results = await Promise.allSettled(
    logs.map((log) => createClient(services[log], transport).listAuditEntries(request, options)),
  );
  const unread = results.flatMap((result, index) => {
    const log = logs[index];
    return result.status === "fulfilled" || log === undefined ? [] : [{ log, error: ConnectError.from(result.reason) }];
  });
  const isEnded = ({ error }: UnreadLog): boolean => error.code === Code.Unauthenticated;
  const fault = unread.find(isEnded) ?? (unread.length === logs.length ? unread[0] : undefined);
  if (fault !== undefined) throw fault.error;
  const pages = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  return { ...mergeAuditPages(pages, request.pageSize), unread };
}
