/** Characters of base64 that contain the head of a WAV file. */
const HEAD_CHARS = 8_192;
/** Bytes of a second of raw audio: 16 bits at 16 kHz or more, one channel. */
const RAW_BYTES_PER_SECOND = 32_000;
/** Least bytes of a second of compressed audio: 6 kbit/s. */
const LEAST_BYTES_PER_SECOND = 750;
/** Largest rate that is believed: 8 channels of 32 bits at 192 kHz. */
const MOST_BYTES_PER_SECOND = 6_144_000;

/** Bounds the seconds of audio in base64: by the header of a WAV file, else by its bytes. */
export function boundSeconds(base64: string, format: unknown): number {
  const bytes = base64.length * 0.75;
  const rate = wavBytesPerSecond(base64);
  if (rate !== undefined) return bytes / rate;
  return bytes / (format === "pcm16" ? RAW_BYTES_PER_SECOND : LEAST_BYTES_PER_SECOND);
}

/** Reads the bytes per second of a WAV file, the smaller value if its header has two; undefined if it has no plausible one. */
function wavBytesPerSecond(base64: string): number | undefined {
  const head = Buffer.from(base64.slice(0, HEAD_CHARS), "base64");
  if (head.toString("latin1", 0, 4) !== "RIFF" || head.toString("latin1", 8, 12) !== "WAVE") return undefined;
  for (let at = 12; at + 24 <= head.length;) {
    const size = head.readUInt32LE(at + 4);
    if (head.toString("latin1", at, at + 4) === "fmt ") {
      const [sampleRate, byteRate] = [head.readUInt32LE(at + 12), head.readUInt32LE(at + 16)];
      const rate = Math.min(byteRate, sampleRate * head.readUInt16LE(at + 20));
      return rate >= LEAST_BYTES_PER_SECOND && rate <= MOST_BYTES_PER_SECOND ? rate : undefined;
    }
    at += 8 + size + (size % 2);
  }
  return undefined;
}
