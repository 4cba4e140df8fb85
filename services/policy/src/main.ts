import { runProcess } from "@routeplane/runtime";
import { startPolicy } from "./app.ts";
import { readConfig } from "./config.ts";

await runProcess(() => startPolicy(readConfig(process.env)));
