import { runProcess } from "@routeplane/runtime";
import { startGateway } from "./app.ts";
import { readConfig } from "./config.ts";

await runProcess(() => startGateway(readConfig(process.env)), { reloadsOnHangUp: true });
