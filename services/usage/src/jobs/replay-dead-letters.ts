import { type Component, type Logger, runPeriodically } from "@routeplane/runtime";
import type { DeadLetterBox } from "../domain/dead-letters.ts";
import { decodeEvents } from "../consumers/decode-events.ts";
import { recordEvents, type Recorder, UNREADABLE } from "../consumers/usage-events.ts";

const EVERY_MS = 2_000;

/** Records the dead letters that operators replay. Two replicas that take the same dead letter record its events once, like any event. */
export function replayDeadLetters(recorder: Recorder, deadLetters: DeadLetterBox, log: Logger): Component {
  return runPeriodically({
    name: "replay dead letters",
    everyMs: EVERY_MS,
    retryMs: EVERY_MS,
    log,
    async run() {
      const letter = await deadLetters.nextToReplay();
      if (letter === undefined) return false;
      const events = decodeEvents(letter.payload);
      const [failed] = events === undefined ? [{ reason: UNREADABLE }] : await recordEvents(recorder, events);
      await deadLetters.endReplay(letter.id, failed?.reason);
      log.info({ id: letter.id, reason: failed?.reason }, "dead letter replayed");
      return true;
    },
  });
}
