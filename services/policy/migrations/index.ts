import type { Migrations } from "@routeplane/postgres";
import * as budgets from "./0001_budgets.ts";

export const migrations: Migrations = { "0001_budgets": budgets };
