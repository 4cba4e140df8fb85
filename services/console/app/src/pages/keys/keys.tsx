import { useParams } from "wouter";
import { KeyPage } from "./key-page.tsx";
import { KeysPage } from "./keys-page.tsx";

/** Keys page: all keys of the namespace, or one of them. */
export default function Keys() {
  const { id } = useParams<{ id?: string }>();
  return id === undefined ? <KeysPage /> : <KeyPage key={id} id={id} />;
}
