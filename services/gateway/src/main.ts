import { runProcess, type RunningProcess } from "@routeplane/runtime";
import { readSupervision, superviseGateway } from "./processes.ts";

/** Starts a gateway in this process. It is loaded here, so that a supervisor does not hold it in memory. */
async function startHere(): Promise<RunningProcess> {
  const [{ startGateway }, { readConfig }] = await Promise.all([import("./app.ts"), import("./config.ts")]);
  return startGateway(readConfig(process.env));
}

const supervision = readSupervision(process.env);
await runProcess(() => (supervision === undefined ? startHere() : superviseGateway(supervision)), {
  reloadsOnHangUp: true,
});
