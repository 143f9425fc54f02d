/** The parts of the command that need no model: arguments, progress lines, files that appear together or not at all. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '@pergola/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  commandHelp,
  parseCommand,
  parseInteger,
  parseList,
  parseNumber,
  parsePair,
  type CommandSpec,
} from '../src/cli/arguments.ts';
import { OutputFolder } from '../src/cli/output-folder.ts';
import { ProgressDisplay } from '../src/cli/progress-display.ts';
import { formatBytes, formatDuration, formatTable } from '../src/cli/terminal.ts';
import { openDevice } from '../src/pipeline/devices.ts';

const SPEC: CommandSpec = {
  name: 'bake',
  description: 'Bakes.',
  argument: { name: 'cake', description: 'what to bake' },
  options: [
    { name: 'out', short: 'o', value: 'folder', description: 'where it goes' },
    { name: 'hot', description: 'bake hot' },
  ],
};

describe('arguments', () => {
  test('values, switches and the argument are told apart', () => {
    const parsed = parseCommand(SPEC, ['lemon', '--hot', '-o', 'x']);
    expect(parsed.argument).toBe('lemon');
    expect(parsed.values).toEqual({ out: 'x' });
    expect([...parsed.switches]).toEqual(['hot']);
  });

  test.each([
    [['a', '--cold'], /there is no option --cold/],
    [['a', '--out'], /option --out needs a value/],
    [['a', '--hot=yes'], /option --hot takes no value/],
    [['a', 'b'], /takes one cake, got also b/],
    [[], /needs what to bake/],
  ])('%j is refused in one sentence', (words, message) => {
    const attempt = (): unknown => parseCommand(SPEC, words);
    expect(attempt).toThrow(InputError);
    expect(attempt).toThrow(message);
  });

  test('numbers, pairs and lists are checked', () => {
    expect(parseInteger('n', '12', 1, 20)).toBe(12);
    expect(parseNumber('g', '1.5', 0, 20)).toBe(1.5);
    const steps = (option: string, text: string): number => parseInteger(option, text, 1, 9);
    expect(parsePair('steps', '3', steps)).toEqual({ structure: 3, latent: 3 });
    expect(parsePair('steps', '3,4', steps)).toEqual({ structure: 3, latent: 4 });
    expect(parseList('formats', 'b, a,b', ['a', 'b'])).toEqual(['b', 'a']);
    for (const text of ['', 'x', '0', '21', '1.5', 'Infinity', 'NaN']) {
      expect(() => parseInteger('n', text, 1, 20)).toThrow(/--n: must be an integer from 1 to 20/);
    }
    expect(() => parsePair('steps', '1,2,3', steps)).toThrow(/one value, or two/);
    expect(() => parseList('formats', 'a,c', ['a', 'b'])).toThrow(/got c/);
    expect(() => parseList('formats', '', ['a'])).toThrow(/an empty name/);
  });

  test('the help names every option', () => {
    const help = commandHelp(SPEC);
    for (const text of ['Usage: pergola bake <cake>', '-o, --out <folder>', '--hot', 'bake hot']) {
      expect(help).toContain(text);
    }
  });
});

describe('text', () => {
  test('sizes and times are short', () => {
    expect([5, 1500, 2_000_000, 45_600_000].map(formatBytes)).toEqual([
      '5 B',
      '1.5 kB',
      '2.0 MB',
      '46 MB',
    ]);
    expect([12, 1234, 125_900].map(formatDuration)).toEqual(['12 ms', '1.2 s', '2 min 5 s']);
    expect(
      formatTable(
        [
          ['a', 'b'],
          ['long', 'c'],
        ],
        '',
      ),
    ).toBe('a     b\nlong  c\n');
  });
});

describe('progress', () => {
  function record(columns: number | undefined): { text: () => string; display: ProgressDisplay } {
    let text = '';
    let now = 0;
    const out = { write: (part: string) => void (text += part), columns };
    return { text: () => text, display: new ProgressDisplay(out, () => (now += 1000)) };
  }
  const event = (step: number, steps: number) =>
    ({ stage: 'structure', step, steps, fraction: step / steps }) as const;

  test('files and pipes get one line per finished stage', () => {
    const { text, display } = record(undefined);
    for (const step of [0, 1, 2]) display.update(event(step, 2));
    expect(text()).toMatch(/^Structure +2 steps, [\d.]+ s\n$/);
    expect(display.times).toHaveLength(1);
  });

  test('a person sees a bar with steps and the time left', () => {
    const { text, display } = record(80);
    for (const step of [0, 1, 2, 3, 4]) display.update(event(step, 4));
    expect(text()).toContain('2/4  ');
    expect(text()).toMatch(/s left/);
    expect(text().endsWith('\n')).toBe(true);
    for (const line of text().split('\r')) expect(line.length).toBeLessThan(90);
  });
});

describe('output folder', () => {
  let base = '';
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'pergola-output-'));
  });
  afterEach(async () => {
    await rm(base, { recursive: true, force: true });
  });
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  test('files replace older ones and nothing else is left behind', async () => {
    const folder = await OutputFolder.open(join(base, 'a', 'b'));
    await writeFile(join(folder.path, 'x'), 'old');
    const written = await folder.write([
      { name: 'x', data: bytes('new') },
      { name: 'y', data: bytes('more') },
    ]);
    expect(written.map(({ bytes: size }) => size)).toEqual([3, 4]);
    expect((await readdir(folder.path)).sort()).toEqual(['x', 'y']);
    expect(await readFile(join(folder.path, 'x'), 'utf8')).toBe('new');
  });

  test('when one file cannot appear, none does and older files stay', async () => {
    const folder = await OutputFolder.open(base);
    await writeFile(join(base, 'x'), 'old');
    await mkdir(join(base, 'y'));
    const attempt = folder.write([
      { name: 'x', data: bytes('new') },
      { name: 'z', data: bytes('new') },
      { name: 'y', data: bytes('more') },
    ]);
    await expect(attempt).rejects.toThrow(/cannot be written to \(a folder has that name\)/);
    expect((await readdir(base)).sort()).toEqual(['x', 'y']);
    expect(await readFile(join(base, 'x'), 'utf8')).toBe('old');
  });

  test('an aborted write leaves nothing', async () => {
    const folder = await OutputFolder.open(join(base, 'new'));
    const signal = AbortSignal.abort(new Error('stopped'));
    await expect(folder.write([{ name: 'x', data: bytes('1') }], signal)).rejects.toThrow(
      'stopped',
    );
    expect(await readdir(folder.path)).toEqual([]);
    await folder.abandon();
    expect(await readdir(base)).toEqual([]);
  });

  test('a folder that cannot be written to is refused at once', async () => {
    await writeFile(join(base, 'file'), '');
    for (const path of [join(base, 'file'), join(base, 'file', 'below')]) {
      await expect(OutputFolder.open(path)).rejects.toThrow(
        /^output folder: .*cannot be written to/,
      );
    }
  });
});

describe('devices', () => {
  test('auto always finds one, unknown names are refused', async () => {
    using device = await openDevice('auto');
    expect(device.disposed).toBe(false);
    await expect(openDevice('abacus')).rejects.toThrow(/must be one of auto, .*cpu, got abacus/);
  });
});
