/** The `pergola` command: picks the subcommand, and turns every outcome into text and an exit code. */
import { createRequire } from 'node:module';
import { InputError, PergolaError } from '@pergola/core';
import { commandHelp, parseCommand, type CommandSpec, type ParsedArguments } from './arguments.ts';
import { doctor, DOCTOR } from './doctor.ts';
import { generate, GENERATE } from './generate.ts';
import { info, INFO } from './info.ts';
import { formatTable, type Terminal } from './terminal.ts';

/** Exit code after Ctrl-C, as shells expect: 128 plus the number of the signal. */
export const EXIT_INTERRUPTED = 130;
const EXIT_FAILED = 1;
const EXIT_OK = 0;

interface Subcommand {
  readonly spec: CommandSpec;
  /** @returns an exit code, or nothing for success. */
  run(parsed: ParsedArguments, terminal: Terminal): Promise<number | void>;
}

const SUBCOMMANDS: readonly Subcommand[] = [
  { spec: GENERATE, run: generate },
  { spec: INFO, run: info },
  { spec: DOCTOR, run: doctor },
];

function overview(): string {
  const rows = SUBCOMMANDS.map(({ spec }) => [spec.name, spec.description]);
  return `Pergola: pictures become 3D assets.\n\nUsage: pergola <command> [options]\n\nCommands:\n${formatTable(rows)}\nSee pergola <command> --help for its options.\n`;
}

/** Version of the package, two folders above this file in the sources and in the built package alike. */
function version(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };
  return manifest.version;
}

function wantsHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return words
    .slice(0, end < 0 ? undefined : end)
    .some((word) => word === '--help' || word === '-h');
}

async function dispatch(words: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    terminal.out.write(overview());
    return EXIT_OK;
  }
  if (name === '--version') {
    terminal.out.write(`${version()}\n`);
    return EXIT_OK;
  }
  const command = SUBCOMMANDS.find(({ spec }) => spec.name === name);
  if (command === undefined) {
    const known = SUBCOMMANDS.map(({ spec }) => spec.name).join(', ');
    throw new InputError(`pergola: the command must be one of ${known}, got ${name}.`);
  }
  if (wantsHelp(rest)) {
    terminal.out.write(commandHelp(command.spec));
    return EXIT_OK;
  }
  return (await command.run(parseCommand(command.spec, rest), terminal)) ?? EXIT_OK;
}

/** One sentence on an error; with `debug` its stack and its causes. */
function describeError(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (debug) {
    const cause =
      error.cause === undefined ? '' : `\nCaused by: ${describeError(error.cause, true)}`;
    return `${error.stack ?? error.message}${cause}`;
  }
  if (error instanceof PergolaError) return error.message;
  // A bug of ours: the user cannot mend it, so say how to find out more.
  return `${error.message} (unexpected; set PERGOLA_DEBUG=1 for details)`;
}

/**
 * Runs the command.
 *
 * @param words the arguments after `pergola`.
 * @returns the exit code: 0 for success, 1 for an error, 130 when it was stopped.
 */
export async function runCommand(words: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(words, terminal);
  } catch (error) {
    if (terminal.signal.aborted) {
      terminal.err.write('Stopped; nothing was written.\n');
      return EXIT_INTERRUPTED;
    }
    terminal.err.write(`Error: ${describeError(error, terminal.debug)}\n`);
    return EXIT_FAILED;
  }
}
