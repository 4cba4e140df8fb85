import { type MetricsSnapshot, takeMetricsSnapshot } from "../operations/metrics.ts";
import type { OperationsAnswer, OperationsPaths } from "../operations/operations-answers.ts";

/** Question of a supervisor to a worker, over the channel between them. */
export interface Question {
  readonly question: keyof OperationsPaths;
  readonly id: number;
}

/** Message of a worker to its supervisor. */
export type WorkerMessage =
  | { readonly started: true }
  | { readonly id: number; readonly answer: OperationsAnswer }
  | { readonly id: number; readonly metrics: MetricsSnapshot };

/** Answers the questions of the supervisor, if this process has one. */
export function answerSupervisor(paths: OperationsPaths): { end(): void } {
  const answer = async ({ question, id }: Question): Promise<void> => {
    if (question === "/metrics") send({ id, metrics: await takeMetricsSnapshot() });
    else send({ id, answer: await paths[question]() });
  };
  const onMessage = (message: unknown): void => {
    // If a question cannot be answered, the supervisor's wait times out.
    if (isQuestion(message)) void answer(message).catch(() => {});
  };
  if (process.send !== undefined) process.on("message", onMessage);
  return { end: () => void process.off("message", onMessage) };
}

/** Tells the supervisor, if there is one, that all components have started. */
export function reportStarted(): void {
  if (process.send !== undefined) send({ started: true });
}

/** Ends this process at once when its supervisor has ended, as a kill would: the next process on its folder recovers the rest. */
export function endWithSupervisor(): void {
  process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
}

function send(message: WorkerMessage): void {
  // A supervisor that has ended does not need the answer: the channel closes.
  process.send?.(message, undefined, undefined, () => {});
}

function isQuestion(message: unknown): message is Question {
  return typeof message === "object" && message !== null && "question" in message && "id" in message;
}
