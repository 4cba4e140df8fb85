/**
 * Yields to the event loop, fairly: of all callers that wait, one resumes in each turn, first come, first served. However many
 * requests are judged at the same time, everything else in the process waits for one slice of that work at most.
 */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    waitingCallers.push(resolve);
    if (waitingCallers.length === 1) setImmediate(resumeNext);
  });
}

const waitingCallers: (() => void)[] = [];

function resumeNext(): void {
  waitingCallers.shift()?.();
  if (waitingCallers.length > 0) setImmediate(resumeNext);
}
