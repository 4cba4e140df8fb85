import * as z from "zod/v4";
import { DIMENSIONS, STATUSES } from "../../request-words.ts";

/** Schemas of arguments that tools share. They bound the size of every argument; the command checks its form. */

/** Maximum number of rows of a list that a tool returns. */
export const MAX_ROWS = 100;

export const keyName = z.string().min(1).max(100).describe("Name or id (key_…) of a key");

const time = z.string().min(1).max(64);
const TIME = "90m, 24h or 30d before now, a UTC date, e.g. 2026-05-01, or an RFC 3339 time with an offset";

/** Arguments that select requests. */
export const requestFilter = {
  key: keyName.optional(),
  model: z.string().min(1).max(300).optional().describe("Model, as id or provider/id"),
  provider: z.string().min(1).max(100).optional().describe("Provider of the model"),
  from: time.optional().describe(`Start: ${TIME}`),
  to: time.optional().describe("End, exclusive; written as `from` (default: now)"),
};

/** Arguments of a list that is read page by page. */
export const page = {
  limit: z.int().min(1).max(MAX_ROWS).default(25).describe("Rows to list"),
  page_token: z.string().min(1).max(2_000).optional().describe("Token of the page, from next_page_token"),
};

export const status = z.enum(STATUSES);
export const groupBy = z.array(z.enum(DIMENSIONS)).min(1).max(DIMENSIONS.length);

export const requestId = z
  .string()
  .min(1)
  .max(100)
  .describe("Id of the request (req_…): the x-request-id of its answer");

/** Part of the result of `whoami` that tools use. */
export const ownKey = z.object({ key: z.object({ id: z.string() }) });
