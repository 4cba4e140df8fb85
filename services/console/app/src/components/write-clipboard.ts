/** Copies a text to the clipboard. Returns false if the browser does not allow it: the page must be on HTTPS or loopback. */
export async function writeClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
