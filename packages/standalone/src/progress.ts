/** Destination of text for people, e.g. `process.stderr`. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

export interface Progress {
  /** Runs one step of the start. Shows it while it runs, and prints a line when it is done. */
  step<T>(title: string, work: () => Promise<T>): Promise<T>;
  /** Prints a line. */
  readonly say: (text: string) => void;
  /** Ends the display of running steps. */
  end(): void;
}

const REDRAW_INTERVAL_MS = 100;
const REPORT_INTERVAL_MS = 5_000;
const CLEAR_LINE = "\r\u001b[2K";

/** Shows running steps and their duration: in the last line of a terminal, elsewhere by a plain line every 5 s. */
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
    output.write(isTerminal ? `${CLEAR_LINE}  ${status()}` : `  still running: ${status()}\n`);
  };
  const say = (text: string): void => {
    output.write(`${isTerminal ? CLEAR_LINE : ""}${text}\n`);
    if (isTerminal) draw();
  };
  const timer = setInterval(draw, isTerminal ? REDRAW_INTERVAL_MS : REPORT_INTERVAL_MS).unref();

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
