import { isUncertain } from "../rpc/form-errors.ts";
import { ErrorNotice } from "./error-notice.tsx";

interface ChangeErrorProps {
  readonly error: unknown;
  /** Sentence for a change that was not made, e.g. `The key was not revoked.` */
  readonly what: string;
  /** Sentence for a change that may have been made, because its response was lost. */
  readonly uncertain?: string;
}

/** Error of a call that changes something. */
export function ChangeError({
  error,
  what,
  uncertain = "It is not certain whether this was done: check it before you try again.",
}: ChangeErrorProps) {
  return <ErrorNotice error={error} what={isUncertain(error) ? uncertain : what} />;
}
