import type { Migrations } from "@routeplane/postgres";
import * as keys from "./0001_keys.ts";

export const migrations: Migrations = { "0001_keys": keys };
