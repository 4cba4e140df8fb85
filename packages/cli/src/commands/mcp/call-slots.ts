import { CliError, ExitCode } from "../../errors.ts";
import { toolError } from "./tool.ts";

/** Maximum number of calls that run at the same time. */
const MAX_RUNNING = 4;
/** Maximum number of calls that wait for a slot. */
const MAX_WAITING = 100;

/** Bounds the concurrent tool calls of a client: a few run, some more wait in order, others are refused. */
export class CallSlots {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** Runs `work` once there is a slot. @throws ToolError TOO_MANY_CALLS if too many calls wait already */
  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < MAX_RUNNING) this.#running += 1;
    else await this.#wait();
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  /** Resolves when a call that ended has passed on its slot. */
  #wait(): Promise<void> {
    if (this.#waiting.length === MAX_WAITING) throw tooManyCalls();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

function tooManyCalls(): Error {
  const message = `more than ${MAX_RUNNING + MAX_WAITING} calls have no answer yet`;
  const hint = "Wait for the answers of earlier calls, then call again.";
  return toolError(new CliError(ExitCode.failed, "resource_exhausted", "TOO_MANY_CALLS", message, { hint }));
}
