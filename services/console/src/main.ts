import { runProcess } from "@routeplane/runtime";
import { startConsole } from "./app.ts";
import { readConfig } from "./config.ts";

await runProcess(() => startConsole(readConfig(process.env)));
