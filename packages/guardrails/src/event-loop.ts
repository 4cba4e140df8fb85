/**
 * Resolves in a turn of the event loop that is nobody else's: of all that wait one goes on in each turn, in the order in which
 * they came. However many requests are judged at the same time, everything else waits for one slice of that work at most.
 */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(goOn);
  });
}

const waiting: (() => void)[] = [];

function goOn(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(goOn);
}
