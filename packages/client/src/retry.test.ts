import { expect, it } from "vitest";
import { RouteplaneError } from "./error.ts";
import { RetryBudget, withRetries } from "./retry.ts";

/** Call that fails `times` times, and counts its attempts. */
function failing(times: number, retryAt?: Date) {
  const calls = { attempts: 0 };
  const attempt = async (): Promise<string> => {
    calls.attempts++;
    if (calls.attempts <= times) throw new RouteplaneError(14, "UNREACHABLE", `failure ${calls.attempts}`, { retryAt });
    return "result";
  };
  return { calls, attempt };
}

const options = (more: object = {}) => ({ budget: new RetryBudget(), isRetryable: () => true, ...more });

it("retries a retryable call, at most twice", async () => {
  const twice = failing(2);
  expect(await withRetries(twice.attempt, options())).toBe("result");
  const always = failing(Infinity);
  await expect(withRetries(always.attempt, options())).rejects.toThrow("failure 3");
  expect(always.calls.attempts).toBe(3);
});

it("does not retry a call that is not retryable", async () => {
  const { calls, attempt } = failing(1);
  await expect(withRetries(attempt, options({ isRetryable: () => false }))).rejects.toThrow("failure 1");
  expect(calls.attempts).toBe(1);
});

it("waits until the time that the error names", async () => {
  const { attempt } = failing(1, new Date(Date.now() + 300));
  const startedAt = performance.now();
  await withRetries(attempt, options());
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(290);
});

it("stops waiting when the call is cancelled, and reports the last error", async () => {
  const { calls, attempt } = failing(Infinity, new Date(Date.now() + 60_000));
  const call = withRetries(attempt, options({ signal: AbortSignal.timeout(20) }));
  await expect(call).rejects.toThrow("failure 1");
  expect(calls.attempts).toBe(1);
});

it("makes few additional calls while all fail, and retries again after successes", async () => {
  const budget = new RetryBudget();
  const always = failing(Infinity, new Date(0));
  for (let count = 0; count < 100; count++) await withRetries(always.attempt, options({ budget })).catch(() => {});
  expect(always.calls.attempts).toBeLessThan(110);
  for (let count = 0; count < 100; count++) await withRetries(failing(0).attempt, options({ budget }));
  const once = failing(1, new Date(0));
  expect(await withRetries(once.attempt, options({ budget }))).toBe("result");
});
