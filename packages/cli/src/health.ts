import { get as httpGet } from "node:http";
import { get as httpsGet } from "node:https";

const TIMEOUT_MS = 5_000;

/** True if the node reports that it can serve requests; false without an answer within 5 s. */
export function nodeIsHealthy(url: string): Promise<boolean> {
  const get = url.startsWith("https:") ? httpsGet : httpGet;
  return new Promise((resolve) => {
    const request = get(`${url}/healthz`, { timeout: TIMEOUT_MS, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
    request.on("close", () => resolve(false));
  });
}
