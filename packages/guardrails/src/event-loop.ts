/**
 * Yields to the event loop, fairly: one waiting caller resumes in each turn, first come, first served. However many requests are judged at
 * the same time, other work in the process waits for at most one slice of judging.
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
