/** Entry of the `pergola` command. */
import { env, exit, stderr, stdout } from 'node:process';
import { EXIT_INTERRUPTED, runCommand } from './command.ts';
import type { TextOutput } from './terminal.ts';

function output(stream: NodeJS.WriteStream): TextOutput {
  return {
    write: (text) => void stream.write(text),
    get columns() {
      return stream.isTTY ? stream.columns : undefined;
    },
  };
}

const stop = new AbortController();
process.on('SIGINT', () => {
  // The first Ctrl-C stops between two steps and cleans up; a second one does not wait for that.
  if (stop.signal.aborted) exit(EXIT_INTERRUPTED);
  stop.abort(new Error('Interrupted.'));
});
process.on('SIGTERM', () => stop.abort(new Error('Terminated.')));
// `pergola info | head` closes our output early; that is no error.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') exit(0);
  throw error;
});

process.exitCode = await runCommand(process.argv.slice(2), {
  out: output(stdout),
  err: output(stderr),
  signal: stop.signal,
  debug: env['PERGOLA_DEBUG'] === '1',
});
