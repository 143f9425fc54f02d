/** The command from end to end, in a temporary folder, on the micro model set. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSafetensors } from '@pergola/core';
import { readGaussianPly } from '@pergola/trellis';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../src/cli/command.ts';
import type { Terminal } from '../src/cli/terminal.ts';
import { microStem, microWeights, writeMicroModel } from './micro-model.ts';

let base = '';
let model = '';
let picture = '';
let counter = 0;

const newFolder = (): string => join(base, `out-${counter++}`);

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command with what it prints caught. */
async function pergola(words: readonly string[], extra: Partial<Terminal> = {}): Promise<Outcome> {
  let out = '';
  let err = '';
  const code = await runCommand(words, {
    out: { write: (text) => void (out += text) },
    err: { write: (text) => void (err += text) },
    signal: new AbortController().signal,
    debug: false,
    ...extra,
  });
  return { code, out, err };
}

const generate = (...words: string[]): Promise<Outcome> =>
  pergola(['generate', picture, '--model', model, '--device', 'cpu', ...words]);

/** One sentence on stderr, a failing exit code, nothing on stdout. */
function expectFailure(outcome: Outcome, message: RegExp): void {
  expect(outcome.err).toMatch(message);
  expect(outcome.err).toMatch(/(^|\n)Error: [^\n]+\.\n$/);
  expect(outcome.err).not.toMatch(/\bat .*:\d+:\d+/);
  expect(outcome.code).toBe(1);
  expect(outcome.out).toBe('');
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'pergola-cli-'));
  model = join(base, 'model');
  await writeMicroModel(model);
  picture = join(base, 'thing.png');
  const disc = Buffer.from(
    '<svg width="40" height="40"><circle cx="20" cy="20" r="14" fill="teal"/></svg>',
  );
  await writeFile(picture, await sharp(disc).png().toBuffer());
});

afterAll(async () => {
  await rm(base, { recursive: true, force: true });
});

describe('generate', () => {
  test('writes every file, says where they are, and nothing else is left', async () => {
    const out = newFolder();
    const result = await generate('--out', join(out, 'deep'), '--seed', '7');
    expect(result.err).not.toMatch(/Error/);
    expect(result.code).toBe(0);
    const names = ['thing-mesh.png', 'thing-splats.png', 'thing.glb', 'thing.ply'];
    expect((await readdir(join(out, 'deep'))).sort()).toEqual(names);
    for (const name of names) expect(result.out).toContain(join(out, 'deep', name));
    expect(result.out).toMatch(/\d+ voxels in [\d.]+ m?s on cpu/);
    for (const stage of ['Structure', 'Voxels', 'Details', 'Gaussians', 'Mesh']) {
      expect(result.err).toMatch(new RegExp(`^${stage} .* (m?s|min)`, 'm'));
    }
    const glb = await readFile(join(out, 'deep', 'thing.glb'));
    expect(glb.toString('latin1', 0, 4)).toBe('glTF');
    const ply = readGaussianPly(await readFile(join(out, 'deep', 'thing.ply')));
    expect(ply.count).toBeGreaterThan(0);
    const preview = await sharp(join(out, 'deep', 'thing-mesh.png')).metadata();
    expect(preview.width).toBe(4 * preview.height);
  });

  test('--json prints the result alone, and several samples get numbers', async () => {
    const out = newFolder();
    const words = ['-o', out, '--json', '--num-samples', '2', '--formats', 'ply', '--steps', '2,1'];
    const result = await generate(...words, '--guidance', '0');
    expect([result.code, result.err]).toEqual([0, '']);
    const report = JSON.parse(result.out) as {
      files: { path: string; bytes: number }[];
      voxels: number[];
      stages: { stage: string }[];
    };
    expect(report.files.map(({ path }) => path)).toEqual([
      join(out, 'thing-1.ply'),
      join(out, 'thing-2.ply'),
    ]);
    expect(report.files[0]!.bytes).toBe((await readFile(join(out, 'thing-1.ply'))).length);
    expect(report.voxels).toHaveLength(2);
    expect(report.stages.map(({ stage }) => stage)).toContain('latent');
  });

  test('the same seed writes the same files', async () => {
    const [a, b] = [newFolder(), newFolder()];
    for (const out of [a, b]) await generate('-o', out, '--formats', 'ply', '--seed', '5');
    expect(await readFile(join(a, 'thing.ply'))).toEqual(await readFile(join(b, 'thing.ply')));
  });

  test('a memory budget changes no number, half precision changes them a little', async () => {
    const [whole, budget, half] = [newFolder(), newFolder(), newFolder()];
    await generate('-o', whole, '--formats', 'ply', '--precision', 'f32');
    await generate('-o', budget, '--formats', 'ply', '--memory-budget', '0.01');
    const result = await generate('-o', half, '--formats', 'ply', '--precision', 'f16');
    expect(result.code).toBe(0);
    const [first, second, third] = await Promise.all(
      [whole, budget, half].map((out) => readFile(join(out, 'thing.ply'))),
    );
    expect(second).toEqual(first);
    expect(third).not.toEqual(first);
  });

  test.each([
    [['--seed', '-1'], /--seed: must be an integer from 0/],
    [['--seed=abc'], /--seed: must be an integer.*got abc/],
    [['--steps', '0'], /--steps: must be an integer from 1 to 1000, got 0/],
    [['--guidance', 'much'], /--guidance: must be a number/],
    [['--precision', 'f64'], /--precision: must be f16 or f32, got f64/],
    [['--memory-budget', '-1'], /--memory-budget: must be a number/],
    [['--num-samples', '0'], /--num-samples: must be/],
    [['--formats', 'stl'], /--formats: must be a list of glb, ply, png, got stl/],
    [['--device', 'abacus'], /device: must be one of auto, cuda, webgpu, cpu, got abacus/],
    [['--model', '/nowhere'], /pipeline\.json: the file does not exist/],
    [['--frobnicate'], /there is no option --frobnicate/],
    [['second.png'], /takes one image, got also second\.png/],
  ])('%j is refused in one sentence and writes nothing', async (words, message) => {
    const out = newFolder();
    expectFailure(await generate('-o', out, ...words), message);
    await expect(readdir(out)).rejects.toThrow('ENOENT');
  });

  test('pictures that cannot be used', async () => {
    const write = async (name: string, data: Uint8Array): Promise<string> => {
      await writeFile(join(base, name), data);
      return join(base, name);
    };
    const good = await readFile(picture);
    const blank = { width: 30, height: 30, channels: 4 as const };
    const transparent = await sharp({ create: { ...blank, background: '#0000' } })
      .png()
      .toBuffer();
    const opaque = await sharp({ create: { ...blank, background: 'red' } })
      .png()
      .toBuffer();
    const cases: [string, RegExp][] = [
      [join(base, 'absent.png'), /absent\.png cannot be read \(there is no such file\)/],
      [await write('text.png', Buffer.from('hello')), /text\.png must be a readable PNG/],
      [
        await write('cut.png', good.subarray(0, good.length - 60)),
        /cut\.png must be a readable PNG/,
      ],
      [await write('empty.png', transparent), /no pixel is at least 80 % opaque/],
      [await write('opaque.png', opaque), /--keep-background/],
    ];
    for (const [path, message] of cases) {
      const out = newFolder();
      expectFailure(await pergola(['generate', path, '--model', model, '-o', out]), message);
      await expect(readdir(out)).rejects.toThrow('ENOENT');
    }
    const words = ['generate', join(base, 'opaque.png'), '--model', model, '-o', newFolder()];
    expect((await pergola([...words, '--formats=ply', '--keep-background'])).code).toBe(0);
  });

  test('an object without voxels', async () => {
    const hollow = join(base, 'hollow');
    await writeMicroModel(hollow, { occupancyBias: -1e6 });
    const out = newFolder();
    const result = await pergola(['generate', picture, '--model', hollow, '-o', out]);
    expect(result.code).toBe(1);
    expect(result.err).toMatch(/got no voxel; try another seed.*\.\n$/);
    await expect(readdir(out)).rejects.toThrow('ENOENT');
  });

  test('damaged weights', async () => {
    const broken = join(base, 'broken');
    await writeMicroModel(broken);
    const path = join(broken, `${microStem('slat_decoder_gs')}.safetensors`);
    const weights = microWeights('slat_decoder_gs');
    const words = ['generate', picture, '--model', broken, '-o', newFolder()];
    await writeFile(path, writeSafetensors(weights.slice(0, -1)));
    expectFailure(await pergola(words), /slat_decoder_gs\.safetensors: parameter .* is missing/);
    const last = weights[weights.length - 1]!;
    const flat = { ...last, shape: [1, last.data.length] };
    await writeFile(path, writeSafetensors([...weights.slice(0, -1), flat]));
    expectFailure(await pergola(words), /parameter .* must be \[\d+\], got \[1, \d+\]/);
    await writeFile(path, writeSafetensors(weights));
    await truncate(path, 3000);
    expectFailure(await pergola(words), /slat_decoder_gs\.safetensors: safetensors: /);
  });

  test('an output folder that cannot be written to is refused before anything is computed', async () => {
    await writeFile(join(base, 'file'), '');
    for (const out of [join(base, 'file'), join(base, 'file', 'below'), '/proc/pergola']) {
      const result = await generate('-o', out);
      expect(result.err).toMatch(/^Error: output folder: .* cannot be written to \([^\n]*\)\.\n$/);
      expect(result.code).toBe(1);
    }
  });

  test('stopped at any stage it leaves nothing half-written and keeps older files', async () => {
    for (const stage of ['Reading', 'Structure', 'Details', 'Mesh', 'Previews']) {
      const out = newFolder();
      await mkdir(out);
      await writeFile(join(out, 'thing.ply'), 'older');
      const stop = new AbortController();
      const stopAt = (text: string): void => {
        if (text.includes(stage)) stop.abort(new Error('Interrupted.'));
      };
      let err = '';
      const write = (text: string): void => {
        err += text;
        stopAt(text);
      };
      // With a width the bar is drawn, so that every stage is seen when it starts.
      const result = await pergola(['generate', picture, '--model', model, '-o', out], {
        err: { write, columns: 100 },
        signal: stop.signal,
      });
      if (stage === 'Previews') {
        // Told only when all is written: stopping then is too late.
        expect(result.code).toBe(0);
        continue;
      }
      expect(result.code).toBe(130);
      expect(err.endsWith('Stopped; nothing was written.\n')).toBe(true);
      expect(await readdir(out)).toEqual(['thing.ply']);
      expect(await readFile(join(out, 'thing.ply'), 'utf8')).toBe('older');
    }
  });
});

// The sources are TypeScript, which Node.js 20 does not start: a process of its own needs the built command.
describe.runIf(process.env['PERGOLA_TEST_DIST'] === '1')('as a process', () => {
  const command = fileURLToPath(new URL('../bin/pergola.js', import.meta.url));

  test('Ctrl-C ends it with 130 and leaves no file', async () => {
    const out = newFolder();
    const words = ['generate', picture, '--model', model, '-o', out, '--steps', '1000'];
    const child = spawn(process.execPath, [command, ...words, '--device', 'cpu']);
    let err = '';
    let interrupted = false;
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
      if (interrupted || !err.includes('Reading the picture')) return;
      // Once: a second one would meet the process while it is already ending.
      interrupted = true;
      child.kill('SIGINT');
    });
    const [code] = (await once(child, 'close')) as [number];
    expect(err).toMatch(/Stopped; nothing was written\.\n$/);
    expect(code).toBe(130);
    await expect(readdir(out)).rejects.toThrow('ENOENT');
  });

  test('errors have an exit code and no stack', async () => {
    const child = spawn(process.execPath, [command, 'generate', join(base, 'none.png')]);
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    expect(code).toBe(1);
    expect(err).toMatch(/^Error: [^\n]*none\.png cannot be read \(there is no such file\)\.\n$/);
  });
});

describe('info', () => {
  test('lists the networks of the bundled set', async () => {
    const { code, out } = await pergola(['info']);
    expect(code).toBe(0);
    for (const text of ['slat_flow_model', 'SLatFlowModel', '13.37 M parameters in 7 networks']) {
      expect(out).toContain(text);
    }
  });

  test('says what is missing, as text and as JSON', async () => {
    const partial = join(base, 'partial');
    await writeMicroModel(partial);
    await rm(join(partial, `${microStem('slat_decoder_rf')}.safetensors`));
    const weights = microWeights('slat_decoder_gs');
    const path = join(partial, `${microStem('slat_decoder_gs')}.safetensors`);
    await writeFile(path, writeSafetensors(weights.slice(1)));
    const text = await pergola(['info', partial]);
    expect(text.code).toBe(1);
    expect(text.out).toMatch(/^slat_decoder_rf: .*safetensors: the file does not exist\.$/m);
    expect(text.out).toMatch(/^slat_decoder_gs: parameter .* is missing$/m);
    const json = await pergola(['info', partial, '--json']);
    const { networks } = JSON.parse(json.out) as { networks: { role: string; problem?: string }[] };
    const broken = networks.filter(({ problem }) => problem !== undefined);
    expect(broken.map(({ role }) => role).sort()).toEqual(['slat_decoder_gs', 'slat_decoder_rf']);
  });

  test('a folder that is no model set', async () => {
    expectFailure(await pergola(['info', base]), /pipeline\.json: the file does not exist/);
  });
});

describe('doctor', () => {
  test('finds the CPU, checks it and measures it', async () => {
    const { code, out } = await pergola(['doctor', '--device', 'cpu', '--json']);
    const [cpu] = JSON.parse(out) as { passed: number; failed: number; matmulGigaflops: number }[];
    expect(cpu!.failed).toBe(0);
    expect(cpu!.passed).toBeGreaterThan(50);
    expect(cpu!.matmulGigaflops).toBeGreaterThan(0);
    expect(code).toBe(0);
  });

  test('a device that is not there is a failure', async () => {
    const { code, out } = await pergola(['doctor', '--device', 'cuda']);
    expect(out).toMatch(/^cuda: not available: /);
    expect(code).toBe(1);
  });
});

describe('the command itself', () => {
  test('help names the commands and their options', async () => {
    for (const words of [[], ['--help'], ['help']]) {
      const { code, out } = await pergola(words);
      expect(code).toBe(0);
      for (const name of ['generate', 'info', 'doctor']) expect(out).toContain(name);
    }
    expect((await pergola(['generate', '--help'])).out).toContain('--keep-background');
  });

  test('the version is that of the package', async () => {
    const manifest = await readFile(new URL('../package.json', import.meta.url), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    expect((await pergola(['--version'])).out).toBe(`${version}\n`);
  });

  test('an unknown command and a missing argument', async () => {
    expectFailure(await pergola(['fly']), /must be one of generate, info, doctor, got fly/);
    expectFailure(await pergola(['generate']), /needs a PNG, JPEG or WebP picture/);
  });

  test('PERGOLA_DEBUG shows the stack', async () => {
    const { err } = await pergola(['fly'], { debug: true });
    expect(err).toMatch(/\n +at /);
  });
});
