import { runProcess } from "@routeplane/runtime";
import { startAggregator } from "./aggregator-app.ts";
import { readAggregatorConfig } from "./config.ts";

await runProcess(() => startAggregator(readAggregatorConfig(process.env)));
