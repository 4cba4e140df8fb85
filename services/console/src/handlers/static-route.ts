import { Code } from "@connectrpc/connect";
import type { AppFile, AppFiles, Coding } from "./app-files.ts";
import type { Exchange } from "./exchange.ts";
import { methodNotAllowed, Refusal } from "./refusal.ts";

/** Path of a page of the app, which the app itself routes: a word, possibly followed by ids. */
const APP_PATH = /^\/(?:[a-z][a-z-]{0,40}(?:\/[\w-]{1,128}){0,3}\/?)?$/;
const YEAR_SECS = 31_536_000;

/** Creates the route for the files and the page paths of the app. @throws Refusal 404, 405 */
export function createStaticRoute(files: AppFiles): (exchange: Exchange) => void {
  return (exchange) => {
    const { path, method } = exchange;
    const isPage = APP_PATH.test(path) && !/^\/(?:api|assets)(?:\/|$)/.test(path);
    const file = files.find(path) ?? (isPage ? files.index : undefined);
    if (file === undefined) return sendNotFound(exchange);
    if (method !== "GET" && method !== "HEAD") throw methodNotAllowed("GET");
    sendFile(exchange, file, file === files.index);
  };
}

function sendFile(exchange: Exchange, file: AppFile, isPage: boolean): void {
  const { request } = exchange;
  const coding = chooseCoding(file, request.headers["accept-encoding"]);
  const body = file.codings.get(coding) ?? Buffer.alloc(0);
  const etag = `"${file.digest}-${coding}"`;
  const lasting = file.isImmutable ? `public, max-age=${YEAR_SECS}, immutable` : "no-cache";
  const headers = {
    "content-type": file.type,
    // The page refers to the files of its build: a cached one would refer to files that no longer exist.
    "cache-control": isPage ? "no-store" : lasting,
    etag,
    vary: "Accept-Encoding",
    ...(coding !== "identity" && { "content-encoding": coding }),
  };
  const known = request.headers["if-none-match"]?.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (known?.includes(etag) === true) {
    exchange.response.writeHead(304, headers).end();
    return;
  }
  exchange.send(200, headers, body);
}

/** Chooses the smallest coding that the client accepts (RFC 9110 section 12.5.3; a weight only matters if it is 0). */
function chooseCoding({ codings }: AppFile, accepted = ""): Coding {
  const taken = new Set(
    accepted
      .split(",")
      .map((item) => item.trim().toLowerCase())
      .filter((item) => !/;\s*q=0(?:\.0*)?$/.test(item))
      .map((item) => item.split(";", 1)[0]),
  );
  return (["br", "gzip"] as const).find((coding) => taken.has(coding) && codings.has(coding)) ?? "identity";
}

const NOT_FOUND_PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Not found</title></head>
<body><h1>Not found</h1><p>There is nothing at this address. <a href="/">Open the console</a></p></body></html>
`;

/** @throws Refusal 404 unless the client wants a page */
function sendNotFound(exchange: Exchange): void {
  const { headers } = exchange.request;
  if (headers.accept?.includes("text/html") !== true) {
    throw new Refusal(404, Code.NotFound, "there is nothing at this address");
  }
  const answer = { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" };
  exchange.send(404, answer, Buffer.from(NOT_FOUND_PAGE));
}
