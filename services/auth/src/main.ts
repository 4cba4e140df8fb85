import { runProcess } from "@routeplane/runtime";
import { startAuth } from "./app.ts";
import { readConfig } from "./config.ts";

await runProcess(() => startAuth(readConfig(process.env)));
