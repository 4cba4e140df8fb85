import { Code, ConnectError } from "@connectrpc/connect";
import { Button } from "./button.tsx";
import { Notice } from "./notice.tsx";

interface ErrorNoticeProps {
  readonly error: unknown;
  /** Sentence for the failure, e.g. `Keys cannot be read.` */
  readonly what: string;
  readonly onRetry?: (() => unknown) | undefined;
}

/** Error of a call: the failure, the message of the service, the request id for the logs, and a retry button if a retry can help. */
export function ErrorNotice({ error, what, onRetry }: ErrorNoticeProps) {
  const failure = ConnectError.from(error);
  const requestId = failure.metadata.get("x-request-id");
  return (
    <Notice kind="error">
      <strong>{what}</strong> {sentence(failure)}
      {requestId !== null && (
        <>
          {" "}
          Request <code>{requestId}</code>.
        </>
      )}{" "}
      {onRetry !== undefined && failure.code !== Code.PermissionDenied && (
        <Button kind="plain" onClick={() => void onRetry()}>
          Try again
        </Button>
      )}
    </Notice>
  );
}

/** The service's message as a sentence. */
function sentence({ rawMessage }: ConnectError): string {
  const text = rawMessage.trim();
  if (text === "") return "";
  const start = text[0] ?? "";
  return `${start.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
