import { useParams } from "wouter";
import { RequestDetail } from "./request-detail.tsx";
import { RequestLog } from "./request-log.tsx";

/** Requests page: the log, filtered and live, or the receipt of one request. */
export default function Requests() {
  const { id } = useParams<{ readonly id?: string }>();
  return id === undefined ? <RequestLog /> : <RequestDetail id={id} />;
}
