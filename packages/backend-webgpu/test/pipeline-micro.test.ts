/**
 * The image-to-3D pipeline on WebGPU against the CPU, on a micro model set: the networks of TRELLIS at toy widths with
 * random weights. Each stage starts from what the CPU made of the stage before, so that errors do not add up.
 */
import { createCpuDevice, TorchGenerator, type Device } from '@pergola/core';
import { SparseStructure, SparseTensor } from '@pergola/sparse';
import {
  decodeOccupancy,
  encodeImages,
  IMAGENET_MEAN,
  IMAGENET_STD,
  ImageTo3D,
  latentNoise,
  openModelSet,
  preprocessImage,
  requireNetwork,
  sampleLatent,
  sampleStructure,
  structureNoise,
  type Asset,
  type ModelName,
  type ModelRole,
  type ModelSet,
  type NetworksByName,
  type PixelImage,
} from '@pergola/trellis';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeMicroModel } from '../../trellis/test/micro-model.ts';
import { openDevice } from './adapter.ts';

// Root mean square of the difference over that of the expected values; f32 on both sides.
const TOLERANCE = 2e-5;
const SEED = 7;
const IMAGE_SIZE = 28;
// SwiftShader compiles each of some hundred programs; minutes where cores are shared.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

/** A green ball with a dark rim on a transparent ground. */
function ball(): PixelImage {
  const size = 40;
  const data = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const distance = Math.hypot(x - 19, y - 21);
      if (distance < 15) data.set([20, 220 - 12 * distance, 5 * x, 255], (y * size + x) * 4);
    }
  }
  return { width: size, height: size, channels: 4, data };
}

type Values = Readonly<Record<string, ArrayLike<number>>>;

/** Values on the host with their shape, so that they can go to any device. */
interface HostTensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

let folder = '';
let set: ModelSet;
let cpu: Device;
let gpu: Device;
// What the CPU made, for the stages after it.
let tokens: HostTensor;
let structureLatent: HostTensor;
let coords: Int32Array;
let latent: HostTensor;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pergola-micro-'));
  // A little below zero, so that a few dozen voxels are left.
  await writeMicroModel(folder, { occupancyBias: -0.2 });
  set = await openModelSet(folder);
  cpu = await createCpuDevice();
  gpu = await openDevice();
});
afterAll(async () => {
  expect(gpu.memory().liveBytes).toBe(0);
  gpu.dispose();
  cpu.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function withNetwork<Name extends ModelName, T>(
  device: Device,
  role: ModelRole | 'image_cond_model',
  name: Name,
  body: (network: NetworksByName[Name]) => Promise<T>,
): Promise<T> {
  const source = await requireNetwork(set, role, name, device, 'f32');
  const network = await source.load();
  try {
    return await device.run(async () => body(network));
  } finally {
    network.dispose();
  }
}

function upload(device: Device, { data, shape }: HostTensor) {
  return device.tensor(data, [...shape]);
}

async function makeStructure(device: Device): Promise<SparseStructure> {
  return SparseStructure.create(device.tensor(coords, [coords.length / 4, 4]));
}

/** Runs a stage on both devices, compares all values, and gives those of the CPU. */
async function compare<V extends Values>(stage: (device: Device) => Promise<V>): Promise<V> {
  const expected = await stage(cpu);
  const actual = await stage(gpu);
  for (const [name, values] of Object.entries(expected)) {
    expect(relativeError(actual[name]!, values), name).toBeLessThan(TOLERANCE);
  }
  return expected;
}

function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  expect(expected.length).toBeGreaterThan(0);
  let error = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i]! - expected[i]!) ** 2;
    scale += expected[i]! ** 2;
  }
  return Math.sqrt(error / scale);
}

test('picture to condition', async () => {
  const image = preprocessImage(ball(), { size: IMAGE_SIZE });
  const input = { size: IMAGE_SIZE, mean: IMAGENET_MEAN, std: IMAGENET_STD };
  let shape: readonly number[] = [];
  const { data } = await compare((device) =>
    withNetwork(device, 'image_cond_model', 'DinoVisionTransformer', async (encoder) => {
      const [condition] = encodeImages(encoder, [image], input);
      ({ shape } = condition!);
      return { data: await condition!.floats() };
    }),
  );
  tokens = { data, shape };
});

test('noise to the latent of the structure', async () => {
  let shape: readonly number[] = [];
  const { data } = await compare((device) =>
    withNetwork(
      device,
      'sparse_structure_flow_model',
      'SparseStructureFlowModel',
      async (network) => {
        const noise = structureNoise(new TorchGenerator(SEED), network.config, 1, device);
        const condition = { positive: [upload(device, tokens)], negative: 'zeros' } as const;
        const sampler = set.file.structureSampler;
        const result = await sampleStructure(network, noise, condition, { sampler });
        ({ shape } = result);
        return { data: await result.floats() };
      },
    ),
  );
  structureLatent = { data, shape };
});

test('latent to occupancy', async () => {
  const found = await compare((device) =>
    withNetwork(device, 'sparse_structure_decoder', 'SparseStructureDecoder', async (network) => {
      const input = upload(device, structureLatent);
      const logits = await network.forward(input).floats();
      using structure = await decodeOccupancy(network, input);
      return { logits, coords: (await structure.coords.values()) as Int32Array };
    }),
  );
  ({ coords } = found);
  expect(coords.length / 4).toBeGreaterThan(8);
  expect(coords.length / 4).toBeLessThan(120);
});

test('noise to structured latents', async () => {
  let shape: readonly number[] = [];
  const { data } = await compare((device) =>
    withNetwork(device, 'slat_flow_model', 'SLatFlowModel', async (network) => {
      using structure = await makeStructure(device);
      const noise = latentNoise(new TorchGenerator(SEED), network.config, structure);
      const condition = { positive: [upload(device, tokens)], negative: 'zeros' } as const;
      const { latentSampler: sampler, normalization } = set.file;
      const result = await sampleLatent(network, structure, noise, condition, normalization, {
        sampler,
      });
      ({ shape } = result.feats);
      return { data: await result.feats.floats() };
    }),
  );
  latent = { data, shape };
});

/** The latents on a device, for the length of `body`. */
async function withLatent<T>(device: Device, body: (slat: SparseTensor) => Promise<T>): Promise<T> {
  using structure = await makeStructure(device);
  return await body(new SparseTensor(structure, upload(device, latent)));
}

test('latents to Gaussians', async () => {
  await compare((device) =>
    withNetwork(device, 'slat_decoder_gs', 'SLatGaussianDecoder', (network) =>
      withLatent(device, async (slat) => {
        const [gaussians] = await network.decode(slat);
        const { positions, harmonics, opacities, scales, rotations } = gaussians!;
        return { positions, harmonics, opacities, scales, rotations };
      }),
    ),
  );
});

test('latents to a radiance field', async () => {
  await compare((device) =>
    withNetwork(device, 'slat_decoder_rf', 'SLatRadianceFieldDecoder', (network) =>
      withLatent(device, async (slat) => {
        const [field] = await network.decode(slat);
        const { factors, density, color } = field!;
        return { factors, density, color };
      }),
    ),
  );
});

test('latents to the cells of a mesh', async () => {
  await compare((device) =>
    withNetwork(device, 'slat_decoder_mesh', 'SLatMeshDecoder', (network) =>
      withLatent(device, async (slat) => {
        using cells = await network.forward(slat);
        const at = (await cells.coords.values()) as Int32Array;
        return { coords: at, feats: await cells.feats.floats() };
      }),
    ),
  );
});

test('the whole pipeline, with nothing left on the device', async () => {
  const run = async (device: Device): Promise<Asset> => {
    using pipeline = await ImageTo3D.load(folder, { device, dtype: 'f32' });
    const before = device.memory().liveBytes;
    const [asset] = await pipeline.run(ball(), { seed: SEED });
    expect(device.memory().liveBytes).toBe(before);
    return asset!;
  };
  const [expected, actual] = [await run(cpu), await run(gpu)];
  expect(actual.voxels).toEqual(expected.voxels);
  const positions = [actual, expected].map(({ gaussians }) => gaussians!.positions);
  expect(relativeError(positions[0]!, positions[1]!)).toBeLessThan(1e-4);
  const colors = [actual, expected].map(({ radianceField }) => radianceField!.color);
  expect(relativeError(colors[0]!, colors[1]!)).toBeLessThan(1e-4);
  // Near the level of the surface a rounding decides whether a cell is cut: counts may differ by a few.
  const faces = [actual, expected].map(({ mesh }) => mesh!.faces.length / 3);
  expect(faces[1]).toBeGreaterThan(1000);
  expect(Math.abs(faces[0]! - faces[1]!) / faces[1]!).toBeLessThan(0.01);
});
