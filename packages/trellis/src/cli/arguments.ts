/** Command-line arguments: a table of options per command gives the parser, the checks and the help text. */
import { parseArgs } from 'node:util';
import { InputError } from '@pergola/core';
import { formatTable } from './terminal.ts';

/** One option of a command. */
export interface OptionSpec {
  readonly name: string;
  readonly short?: string;
  /** What the value is called in the help; options without one are switches. */
  readonly value?: string;
  readonly description: string;
}

/** A command as the user sees it. */
export interface CommandSpec {
  readonly name: string;
  /** What the user types. Default `pergola <name>`. */
  readonly call?: string;
  readonly description: string;
  /** Name of the one positional argument. */
  readonly argument?: {
    readonly name: string;
    readonly description: string;
    readonly optional?: true;
  };
  readonly options: readonly OptionSpec[];
}

/** What was typed, strings still. */
export interface ParsedArguments {
  readonly argument: string | undefined;
  readonly values: Readonly<Record<string, string | undefined>>;
  readonly switches: ReadonlySet<string>;
}

function callOf({ name, call = `pergola ${name}` }: CommandSpec): string {
  return call;
}

/** The parser's complaint as one sentence. */
function complaint(spec: CommandSpec, error: unknown): InputError {
  const command = callOf(spec);
  const { code, message } = error as NodeJS.ErrnoException;
  const option = /'([^']+)'/.exec(message)?.[1] ?? '';
  const name = option.split(/[ ,]/).findLast((part) => part.startsWith('-')) ?? option;
  const text =
    code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION'
      ? `there is no option ${name}; see ${command} --help`
      : message.includes('does not take an argument')
        ? `option ${name} takes no value`
        : `option ${name} needs a value`;
  return new InputError(`${command}: ${text}.`, { cause: error });
}

/** Joins `--seed -1` to `--seed=-1`, which the parser would take for two options. */
function joinNegativeNumbers(words: readonly string[]): string[] {
  const joined: string[] = [];
  for (const word of words) {
    const last = joined[joined.length - 1];
    if (/^-[\d.]/.test(word) && last?.startsWith('--') === true && !last.includes('=')) {
      joined[joined.length - 1] = `${last}=${word}`;
    } else joined.push(word);
  }
  return joined;
}

/**
 * Splits the words after the command's name.
 *
 * @throws InputError in one sentence for unknown options, missing values and surplus arguments.
 */
export function parseCommand(spec: CommandSpec, words: readonly string[]): ParsedArguments {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {};
  for (const { name, short, value } of spec.options) {
    const type = value === undefined ? 'boolean' : 'string';
    options[name] = short === undefined ? { type } : { type, short };
  }
  let parsed;
  try {
    parsed = parseArgs({
      args: joinNegativeNumbers(words),
      options,
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    throw complaint(spec, error);
  }
  const [argument, surplus] = parsed.positionals;
  const accepted = spec.argument === undefined ? 0 : 1;
  if (parsed.positionals.length > accepted) {
    const got = accepted === 0 ? argument : surplus;
    const limit = accepted === 0 ? 'no argument' : `one ${spec.argument!.name}`;
    throw new InputError(`${callOf(spec)}: takes ${limit}, got also ${got}.`);
  }
  if (accepted === 1 && argument === undefined && spec.argument!.optional !== true) {
    throw new InputError(
      `${callOf(spec)}: needs ${spec.argument!.description}; see ${callOf(spec)} --help.`,
    );
  }
  const values: Record<string, string | undefined> = {};
  const switches = new Set<string>();
  for (const [name, value] of Object.entries(parsed.values)) {
    if (typeof value === 'string') values[name] = value;
    else if (value === true) switches.add(name);
  }
  return { argument, values, switches };
}

/** Text of `pergola <command> --help`. */
export function commandHelp(spec: CommandSpec): string {
  const { argument } = spec;
  const word =
    argument === undefined ? '' : argument.optional ? ` [${argument.name}]` : ` <${argument.name}>`;
  const rows = spec.options.map(({ name, short, value, description }) => [
    `${short === undefined ? '   ' : `-${short},`} --${name}${value === undefined ? '' : ` <${value}>`}`,
    description,
  ]);
  const head = `${spec.description}\n\nUsage: ${callOf(spec)}${word} [options]\n\n`;
  const about =
    argument === undefined
      ? ''
      : `${formatTable([[`<${argument.name}>`, argument.description]])}\n`;
  return `${head}${about}Options:\n${formatTable(rows)}`;
}

/**
 * An integer within bounds.
 *
 * @throws InputError naming the option otherwise.
 */
export function parseInteger(option: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high) {
    throw new InputError(`--${option}: must be an integer from ${low} to ${high}, got ${text}.`);
  }
  return value;
}

/**
 * A number within bounds.
 *
 * @throws InputError naming the option otherwise.
 */
export function parseNumber(option: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= low && value <= high)) {
    throw new InputError(`--${option}: must be a number from ${low} to ${high}, got ${text}.`);
  }
  return value;
}

/**
 * One value for both sampling stages, or two separated by a comma.
 *
 * @throws InputError naming the option for more than two, or for a value out of range.
 */
export function parsePair(
  option: string,
  text: string,
  parse: (option: string, text: string) => number,
): { readonly structure: number; readonly latent: number } {
  const parts = text.split(',');
  if (parts.length > 2) {
    throw new InputError(`--${option}: takes one value, or two separated by a comma, got ${text}.`);
  }
  const [structure, latent] = [parse(option, parts[0]!), parse(option, parts[1] ?? parts[0]!)];
  return { structure, latent };
}

/**
 * One of some known names.
 *
 * @throws InputError naming the option otherwise.
 */
export function parseName<T extends string>(option: string, text: string, known: readonly T[]): T {
  const name = known.find((candidate) => candidate === text);
  if (name !== undefined) return name;
  throw new InputError(`--${option}: must be ${known.join(' or ')}, got ${text}.`);
}

/**
 * A comma-separated list of known names, without repetition.
 *
 * @throws InputError naming the option for an unknown name or an empty list.
 */
export function parseList<T extends string>(
  option: string,
  text: string,
  known: readonly T[],
): T[] {
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (!known.includes(name as T)) {
      throw new InputError(
        `--${option}: must be a list of ${known.join(', ')}, got ${name === '' ? 'an empty name' : name}.`,
      );
    }
  }
  return [...new Set(names as T[])];
}
