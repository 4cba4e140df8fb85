import type { Migrations } from "@routeplane/postgres";
import * as requests from "./0001_requests.ts";

export const migrations: Migrations = { "0001_requests": requests };
