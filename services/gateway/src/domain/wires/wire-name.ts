/** Name of a wire: the format of the requests and answers of one API. Upstreams that speak `messages` count their tokens too. */
export type WireName = "chat" | "responses" | "messages" | "count_tokens" | "embeddings";
