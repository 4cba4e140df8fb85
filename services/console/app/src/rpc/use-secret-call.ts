import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { callUnaryMethod, useTransport } from "@connectrpc/connect-query";
import { useState } from "react";
import { reportSessionEnd } from "../session/session-end.ts";

interface SecretCall<I extends DescMessage, O extends DescMessage> {
  readonly isBusy: boolean;
  readonly error: ConnectError | undefined;
  /** Calls the method. The response is undefined if the call failed; `error` then has the reason. */
  readonly call: (input: MessageInitShape<I>) => Promise<MessageShape<O> | undefined>;
}

/** Hook to call a method whose response holds a token. Unlike reads and mutations, the response is not cached: only the caller has it. */
export function useSecretCall<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
): SecretCall<I, O> {
  const transport = useTransport();
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<ConnectError>();
  const call = async (input: MessageInitShape<I>): Promise<MessageShape<O> | undefined> => {
    setBusy(true);
    setError(undefined);
    try {
      return await callUnaryMethod(transport, method, input);
    } catch (failure) {
      const cause = ConnectError.from(failure);
      setError(cause);
      if (cause.code === Code.Unauthenticated) reportSessionEnd();
      return undefined;
    } finally {
      setBusy(false);
    }
  };
  return { isBusy, error, call };
}
