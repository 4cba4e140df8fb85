/** Copies a text to the clipboard. False if the browser does not let the page: it must be on HTTPS or loopback. */
export async function writeClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
