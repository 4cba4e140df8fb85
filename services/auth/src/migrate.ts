import { migrateFromEnvironment } from "@routeplane/postgres";
import { migrations } from "../migrations/index.ts";

await migrateFromEnvironment("auth", migrations, process.env);
