import { migrateFromEnvironment } from "@routeplane/postgres";
import { migrations } from "../migrations/index.ts";

await migrateFromEnvironment("usage", migrations, process.env);
