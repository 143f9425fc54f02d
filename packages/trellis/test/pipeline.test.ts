/** The whole pipeline on a micro model set, whose sizes are not those of the bundled one. */
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CheckpointError,
  createCpuDevice,
  InputError,
  LifetimeError,
  writeSafetensors,
  type Device,
} from '@pergola/core';
import {
  EmptyStructureError,
  ImageTo3D,
  TextTo3D,
  type Asset,
  type PixelImage,
  type ProgressEvent,
} from '@pergola/trellis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { microStem, microWeights, writeMicroModel } from './micro-model.ts';

let base = '';
let device: Device;
let pipeline: ImageTo3D;
/** Live bytes before and after loading. */
let start = 0;
let loaded = 0;

/** A blue disc on a transparent background. */
function disc(shade = 200): PixelImage {
  const size = 40;
  const data = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (Math.hypot(x - 20, y - 20) < 14) data.set([10, x * 5, shade, 255], (y * size + x) * 4);
    }
  }
  return { width: size, height: size, channels: 4, data };
}

async function modelFolder(
  name: string,
  ...rest: Parameters<typeof writeMicroModel> extends [string, ...infer R] ? R : never
): Promise<string> {
  const folder = join(base, name);
  await writeMicroModel(folder, ...rest);
  return folder;
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'pergola-pipeline-'));
  device = await createCpuDevice();
  start = device.memory().liveBytes;
  pipeline = await ImageTo3D.load(await modelFolder('sound'), { device });
  loaded = device.memory().liveBytes;
});

afterAll(async () => {
  pipeline.dispose();
  expect(device.memory().liveBytes).toBe(start);
  device.dispose();
  await rm(base, { recursive: true, force: true });
});

describe('a run', () => {
  let assets: Asset[];
  const events: ProgressEvent[] = [];
  beforeAll(async () => {
    const onProgress = (event: ProgressEvent): void => void events.push(event);
    assets = await pipeline.run(disc(), { numSamples: 2, onProgress });
  });

  test('gives every format for every sample', () => {
    expect(assets).toHaveLength(2);
    for (const { voxels, gaussians, mesh, radianceField } of assets) {
      const count = voxels.coords.length / 3;
      expect(count).toBeGreaterThan(0);
      expect(voxels.resolution).toBe(8);
      expect(Math.max(...voxels.coords)).toBeLessThan(8);
      expect(gaussians!.count).toBe(3 * count);
      expect(radianceField).toMatchObject({ count, resolution: 8, rank: 3, dim: 4 });
      expect(mesh!.colors).toHaveLength(mesh!.vertices.length);
    }
    expect(assets[0]!.voxels.coords).not.toEqual(assets[1]!.voxels.coords);
  });

  test('reports every step of every stage in order', () => {
    const finished = events.filter(({ step, steps }) => step === steps).map(({ stage }) => stage);
    expect(finished).toEqual([
      'condition',
      'structure',
      'occupancy',
      'latent',
      'gaussians',
      'radianceField',
      'mesh',
    ]);
    const structure = events.filter(({ stage }) => stage === 'structure');
    expect(structure.map(({ step }) => step)).toEqual([0, 1, 2, 3]);
    expect(structure.map(({ fraction }) => fraction)).toEqual([0, 1 / 3, 2 / 3, 1]);
  });

  test('repeats itself for a seed and differs for another', async () => {
    const run = async (seed: number): Promise<Asset> =>
      (await pipeline.run(disc(), { seed, formats: ['gaussians'] }))[0]!;
    const [first, again, other] = [await run(3), await run(3), await run(4)];
    expect(again).toEqual(first);
    expect(other.voxels.coords).not.toEqual(first.voxels.coords);
  });

  test('steps and guidance can be set for both stages or for each', async () => {
    const seen: string[] = [];
    const onProgress = ({ stage, step, steps }: ProgressEvent): void => {
      if (step === steps && steps > 1) seen.push(`${stage} ${steps}`);
    };
    const steps = { structure: 2, latent: 4 };
    await pipeline.run(disc(), { steps, guidance: 0, formats: ['gaussians'], onProgress });
    expect(seen).toEqual(['structure 2', 'latent 4']);
  });

  test('without formats it stops after the voxels', async () => {
    const stages = new Set<string>();
    const [asset] = await pipeline.run(disc(), {
      formats: [],
      onProgress: ({ stage }) => void stages.add(stage),
    });
    expect(Object.keys(asset!)).toEqual(['voxels']);
    expect([...stages]).toEqual(['condition', 'structure', 'occupancy']);
  });

  test('several pictures of one object share a sample', async () => {
    for (const mode of ['stochastic', 'multidiffusion'] as const) {
      const images = [disc(200), disc(100)];
      const [asset] = await pipeline.run(images, { mode, formats: [] });
      expect(asset!.voxels.coords.length).toBeGreaterThan(0);
    }
  });
});

describe('text', () => {
  test('a description becomes an asset, and another one another asset', async () => {
    const folder = await modelFolder('text', { text: true, without: ['image_cond_model'] });
    using text = await TextTo3D.load(folder, { device });
    const before = device.memory().liveBytes;
    const run = async (words: string): Promise<Asset> =>
      (await text.run(words, { formats: ['gaussians'], guidance: 1 }))[0]!;
    const chair = await run('a red chair');
    expect(chair.gaussians!.count).toBeGreaterThan(0);
    expect(await run('a red chair')).toEqual(chair);
    expect((await run('bottle')).gaussians).not.toEqual(chair.gaussians);
    expect(device.memory().liveBytes).toBe(before);
    await expect(text.run(5 as unknown as string)).rejects.toThrow(/text must be a string/);
  });

  test('a set for pictures says that it has no text encoder, and the other way round', async () => {
    await expect(TextTo3D.load(join(base, 'sound'), { device })).rejects.toThrow(
      /the set has no text_cond_model/,
    );
    await expect(ImageTo3D.load(join(base, 'text'), { device })).rejects.toThrow(
      /the set has no image_cond_model/,
    );
  });

  test('a text encoder that is not there', async () => {
    const folder = await modelFolder('mute', { text: true });
    await rm(join(folder, 'clip'), { recursive: true });
    await expect(TextTo3D.load(folder, { device })).rejects.toThrow(CheckpointError);
    await expect(TextTo3D.load(folder, { device })).rejects.toThrow(/models are not downloaded/);
  });
});

describe('memory', () => {
  test('is back where it was after a run, a failed one and a stopped one', async () => {
    expect(loaded).toBeGreaterThanOrEqual(start + pipeline.weightBytes);
    for (const seed of [1, 2]) {
      await pipeline.run(disc(), { seed });
      expect(device.memory().liveBytes).toBe(loaded);
    }
    for (const stage of ['condition', 'structure', 'occupancy', 'latent', 'mesh']) {
      const run = pipeline.run(disc(), { formats: ['mesh'], onProgress: failAt(stage) });
      await expect(run).rejects.toThrow('no');
      expect(device.memory().liveBytes).toBe(loaded);
    }
  });

  function failAt(stage: string): (event: ProgressEvent) => void {
    return (event) => {
      if (event.stage === stage) throw new Error('no');
    };
  }

  test('a budget below the sum loads each network for its stage alone, with the same result', async () => {
    using other = await createCpuDevice();
    const folder = join(base, 'sound');
    using tight = await ImageTo3D.load(folder, { device: other, memoryBudget: 1 });
    expect(other.memory().liveBytes).toBe(0);
    const [asset] = await tight.run(disc(), { seed: 5 });
    expect(other.memory().liveBytes).toBe(0);
    expect(asset).toEqual((await pipeline.run(disc(), { seed: 5 }))[0]);
  });

  test('a disposed pipeline says so', async () => {
    using other = await createCpuDevice();
    const gone = await ImageTo3D.load(join(base, 'sound'), { device: other });
    gone.dispose();
    gone.dispose();
    expect(other.memory().liveBytes).toBe(0);
    await expect(gone.run(disc())).rejects.toThrow(LifetimeError);
  });
});

describe('turns and stops', () => {
  test('runs that overlap take turns and do not disturb each other', async () => {
    const alone = await pipeline.run(disc(), { seed: 1, formats: ['gaussians'] });
    const order: number[] = [];
    const start = async (seed: number): Promise<Asset[]> => {
      const made = await pipeline.run(disc(), { seed, formats: ['gaussians'] });
      order.push(seed);
      return made;
    };
    const [first, , third] = await Promise.all([start(1), start(2), start(1)]);
    expect(order).toEqual([1, 2, 1]);
    expect(first).toEqual(alone);
    expect(third).toEqual(alone);
  });

  test('a stopped run ends between two steps with the reason, and the next one works', async () => {
    const stop = new AbortController();
    const steps: number[] = [];
    const run = pipeline.run(disc(), {
      signal: stop.signal,
      onProgress: ({ stage, step }) => {
        if (stage !== 'structure') return;
        steps.push(step);
        if (step === 1) stop.abort(new Error('enough'));
      },
    });
    await expect(run).rejects.toThrow('enough');
    expect(steps).toEqual([0, 1]);
    await expect(pipeline.run(disc(), { formats: [] })).resolves.toHaveLength(1);
  });

  test('a run that was stopped before its turn does nothing', async () => {
    const events: ProgressEvent[] = [];
    const run = pipeline.run(disc(), {
      signal: AbortSignal.abort(new Error('too late')),
      onProgress: (event) => void events.push(event),
    });
    await expect(run).rejects.toThrow('too late');
    expect(events).toEqual([]);
  });
});

describe('bad input', () => {
  test.each([
    [{ seed: -1 }, /seed must be an integer/],
    [{ seed: 0.5 }, /seed must be an integer/],
    [{ numSamples: 0 }, /numSamples must be an integer/],
    [{ steps: 0 }, /steps must be an integer/],
    [{ steps: { latent: 1.5 } }, /steps must be an integer/],
    [{ guidance: -1 }, /guidance must be a number/],
    [{ guidance: { structure: Number.NaN } }, /guidance must be a number/],
    [{ formats: ['stl' as 'mesh'] }, /formats must be among .*got stl/],
  ])('%j is refused before any work', async (options, message) => {
    const events: ProgressEvent[] = [];
    const onProgress = (event: ProgressEvent): void => void events.push(event);
    const run = pipeline.run(disc(), { ...options, onProgress });
    await expect(run).rejects.toThrow(InputError);
    await expect(pipeline.run(disc(), options)).rejects.toThrow(message);
    expect(events).toEqual([]);
  });

  test('no picture, and a picture without an object', async () => {
    await expect(pipeline.run([])).rejects.toThrow(/must hold a picture/);
    const empty = { ...disc(), data: new Uint8Array(40 * 40 * 4) };
    await expect(pipeline.run(empty)).rejects.toThrow(/no pixel is at least 80 % opaque/);
  });

  test('a structure without voxels is an error that says what to try', async () => {
    const folder = await modelFolder('hollow', { occupancyBias: -1e6 });
    using hollow = await ImageTo3D.load(folder, { device });
    const before = device.memory().liveBytes;
    await expect(hollow.run(disc())).rejects.toThrow(EmptyStructureError);
    await expect(hollow.run(disc())).rejects.toThrow(/got no voxel; try another seed/);
    expect(device.memory().liveBytes).toBe(before);
  });
});

describe('bad model sets', () => {
  const load = async (folder: string, memoryBudget?: number): Promise<void> => {
    const before = device.memory().liveBytes;
    try {
      (await ImageTo3D.load(folder, { device, memoryBudget })).dispose();
    } finally {
      expect(device.memory().liveBytes).toBe(before);
    }
  };

  test('a folder that is none', async () => {
    await expect(load(join(base, 'nowhere'))).rejects.toThrow(/pipeline\.json: the file does not/);
  });

  test('a set without a network that is needed, or of another kind', async () => {
    const folder = await modelFolder('deaf', { without: ['image_cond_model'] });
    await expect(load(folder)).rejects.toThrow(/the set has no image_cond_model/);
    const wrong = await modelFolder('wrong');
    const json = await readFile(join(wrong, `${microStem('slat_decoder_gs')}.json`));
    await writeFile(join(wrong, `${microStem('slat_decoder_rf')}.json`), json);
    await expect(load(wrong)).rejects.toThrow(/must be a SLatRadianceFieldDecoder, got a SLatGau/);
  });

  test('a set without a decoder works for the other formats', async () => {
    const folder = await modelFolder('flat', { without: ['slat_decoder_mesh', 'slat_decoder_rf'] });
    using flat = await ImageTo3D.load(folder, { device });
    const [asset] = await flat.run(disc());
    expect(Object.keys(asset!)).toEqual(['voxels', 'gaussians']);
    await expect(flat.run(disc(), { formats: ['mesh'] })).rejects.toThrow(/no decoder for mesh/);
  });

  test('a missing weight, a weight of another shape, a truncated and a missing file', async () => {
    const role = 'slat_flow_model';
    const folder = await modelFolder('broken');
    const path = join(folder, `${microStem(role)}.safetensors`);
    const weights = microWeights(role);

    await writeFile(path, writeSafetensors(weights.slice(1)));
    await expect(load(folder)).rejects.toThrow(
      new RegExp(`${role}\\.safetensors: parameter ${weights[0]!.name} .* is missing`),
    );
    const [first, ...rest] = weights;
    await writeFile(path, writeSafetensors([{ ...first!, shape: [first!.data.length] }, ...rest]));
    await expect(load(folder)).rejects.toThrow(/must be \[16, 256\], got \[4096\]/);

    await writeFile(path, writeSafetensors(weights));
    await truncate(path, 10_000);
    for (const budget of [undefined, 1]) {
      await expect(load(folder, budget)).rejects.toThrow(CheckpointError);
    }
    await rm(path);
    for (const budget of [undefined, 1]) {
      await expect(load(folder, budget)).rejects.toThrow(/safetensors: the file does not exist/);
    }
  });

  test('a budget that is no number of bytes', async () => {
    await expect(load(join(base, 'sound'), 0)).rejects.toThrow(/memoryBudget: must be a positive/);
  });
});
