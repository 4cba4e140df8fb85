import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, expect, it, vi } from "vitest";
import { createQueryClient } from "./query-client.ts";

afterEach(() => vi.useRealTimers());

it.each([
  ["of an unavailable service", Code.Unavailable, 3],
  ["beyond the calls that a session may have running", Code.ResourceExhausted, 3],
  ["without permission", Code.PermissionDenied, 1],
])("attempts a read %s as often as it can help", async (_, code, attempts) => {
  vi.useFakeTimers();
  const queryFn = vi.fn(() => Promise.reject(new ConnectError("refused", code)));
  const read = createQueryClient().fetchQuery({ queryKey: [code], queryFn });
  await Promise.all([expect(read).rejects.toThrow("refused"), vi.advanceTimersByTimeAsync(10_000)]);
  expect(queryFn).toHaveBeenCalledTimes(attempts);
});
