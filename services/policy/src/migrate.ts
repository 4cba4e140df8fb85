import { migrateFromEnvironment } from "@routeplane/postgres";
import { migrations } from "../migrations/index.ts";

await migrateFromEnvironment("policy", migrations, process.env);
