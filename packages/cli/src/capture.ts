import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";

/** Output of a command line that was run within this process. */
export interface CapturedRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Streams {
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
}

/** Runs a command line on separate streams, and collects its output. */
export async function capture(run: (streams: Streams) => Promise<number>): Promise<CapturedRun> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end();
  const written = Promise.all([text(stdout), text(stderr)]);
  const exitCode = await run({ stdin, stdout, stderr });
  stdout.end();
  stderr.end();
  const [out, err] = await written;
  return { exitCode, stdout: out, stderr: err };
}
