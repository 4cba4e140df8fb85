/** Name of a wire: the format of the requests and answers of one API. */
export type WireName = "chat" | "responses" | "messages" | "embeddings";
