export * from "./gen/routeplane/paging/v1/page_token_pb.js";
