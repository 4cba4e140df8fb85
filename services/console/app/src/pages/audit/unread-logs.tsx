import { ErrorNotice } from "../../components/error-notice.tsx";
import type { LogName } from "./audit-filter.ts";
import type { ReadAuditPage } from "./read-audit-page.ts";

const CHANGES: Readonly<Record<LogName, string>> = {
  auth: "Changes of keys, namespaces and operators",
  policy: "Changes of policies and bindings",
  usage: "Changes of dead letters",
};

interface UnreadLogsProps {
  readonly unread: ReadAuditPage["unread"];
  readonly onRetry: () => unknown;
}

/** Notice that names the logs that are missing from the list, each once. */
export function UnreadLogs({ unread, onRetry }: UnreadLogsProps) {
  const byLog = new Map(unread.map(({ log, error }) => [log, error]));
  return [...byLog].map(([log, error]) => (
    <ErrorNotice key={log} error={error} what={`${CHANGES[log]} are missing here.`} onRetry={onRetry} />
  ));
}
