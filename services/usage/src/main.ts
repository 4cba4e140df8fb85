import { runProcess } from "@routeplane/runtime";
import { startUsage } from "./app.ts";
import { readConfig } from "./config.ts";

await runProcess(() => startUsage(readConfig(process.env)));
