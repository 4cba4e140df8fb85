/** Where text for people goes: `process.stdout` and `process.stderr` fit. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

export interface Progress {
  /** Runs one step of the start: a line when it is done, and while it lasts a sign of life. */
  step<T>(title: string, work: () => Promise<T>): Promise<T>;
  /** A line of its own. */
  readonly say: (text: string) => void;
  /** No more signs of life. */
  end(): void;
}

const REDRAW_INTERVAL_MS = 100;
const REMIND_INTERVAL_MS = 5_000;
const CLEAR_LINE = "\r\u001b[2K";

/** On a terminal the last line names the steps under way, with their time; elsewhere a plain line does, now and then. */
export function showProgress(output: Output): Progress {
  const active = new Map<symbol, { title: string; startedAt: number }>();
  const isTerminal = output.isTTY === true;

  const status = (): string => {
    const steps = [...active.values()];
    const since = Math.min(...steps.map(({ startedAt }) => startedAt));
    return `${steps.map(({ title }) => title).join(", ")} … ${seconds(since)}`;
  };
  const draw = (): void => {
    if (active.size === 0) return;
    output.write(isTerminal ? `${CLEAR_LINE}  ${status()}` : `  still at it: ${status()}\n`);
  };
  const say = (text: string): void => {
    output.write(`${isTerminal ? CLEAR_LINE : ""}${text}\n`);
    if (isTerminal) draw();
  };
  const timer = setInterval(draw, isTerminal ? REDRAW_INTERVAL_MS : REMIND_INTERVAL_MS).unref();

  return {
    async step(title, work) {
      const id = Symbol(title);
      const startedAt = performance.now();
      active.set(id, { title, startedAt });
      try {
        const result = await work();
        active.delete(id);
        say(`  ${title.padEnd(28)} ${seconds(startedAt)}`);
        return result;
      } finally {
        active.delete(id);
      }
    },
    say,
    end() {
      clearInterval(timer);
      active.clear();
      if (isTerminal) output.write(CLEAR_LINE);
    },
  };
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1_000).toFixed(1)} s`;
}
