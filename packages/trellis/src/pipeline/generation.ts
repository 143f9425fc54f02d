/** What all pipelines share: options of a run, and the way from a condition to assets. */
import { InputError, TorchGenerator, type Device } from '@pergola/core';
import type { SparseStructure, SparseTensor } from '@pergola/sparse';
import type { SLatFlowModel } from '../models/slat-flow.ts';
import type { SLatGaussianDecoder } from '../models/slat-gaussian-decoder.ts';
import type { SLatMeshDecoder } from '../models/slat-mesh-decoder.ts';
import type { SLatRadianceFieldDecoder } from '../models/slat-radiance-field-decoder.ts';
import type { SparseStructureDecoder } from '../models/sparse-structure-decoder.ts';
import type { SparseStructureFlowModel } from '../models/sparse-structure-flow.ts';
import type { FlowSampler } from '../sampling/flow-sampler.ts';
import { ASSET_FORMATS, checkFormats, type Asset, type AssetFormat } from './asset.ts';
import type { NetworkAccess } from './network-set.ts';
import type { AssetPart } from '../render/views.ts';
import { singleStep, type RunControl } from './progress.ts';
import {
  decodeOccupancy,
  latentNoise,
  readVoxels,
  sampleLatent,
  sampleStructure,
  structureNoise,
  type Conditioning,
  type LatentNormalization,
  type SamplingOverrides,
} from './stages.ts';

/** Networks behind the condition. */
export type GenerationNetworks = {
  readonly structureFlow: SparseStructureFlowModel;
  readonly structureDecoder: SparseStructureDecoder;
  readonly latentFlow: SLatFlowModel;
  readonly gaussians: SLatGaussianDecoder;
  readonly mesh: SLatMeshDecoder;
  readonly radianceField: SLatRadianceFieldDecoder;
};

/** One value for both sampling stages, or one each; what is left out comes from the model's own settings. */
export type PerStage = number | { readonly structure?: number; readonly latent?: number };

/** Options of one run. */
export interface GenerateOptions extends RunControl {
  /** An integer from 0 to 2^53 - 1. The same seed gives the same asset. Default 42. */
  readonly seed?: number;
  /** Assets made at once from one draw of noise. Default 1. */
  readonly numSamples?: number;
  /** Steps of sampling. Default: those of the model. */
  readonly steps?: PerStage;
  /** Strength of guidance; 0 follows the condition alone. Default: that of the model. */
  readonly guidance?: PerStage;
  /**
   * What to decode; an empty list stops after the voxels. Default: everything that the model has a decoder for.
   */
  readonly formats?: readonly AssetFormat[];
}

export const GENERATE_DEFAULTS: { readonly seed: number; readonly numSamples: number } = {
  seed: 42,
  numSamples: 1,
};

/** How the two flows are sampled. */
export interface GenerationSettings {
  readonly structureSampler: FlowSampler;
  readonly latentSampler: FlowSampler;
  readonly normalization: LatentNormalization;
  /** Voxels along each axis of the structure. */
  readonly resolution: number;
}

/** Options after the checks. */
interface CheckedOptions {
  readonly seed: number;
  readonly numSamples: number;
  readonly formats: readonly AssetFormat[];
}

/** Rejects bad options before any work. */
export function checkGenerateOptions(
  who: string,
  networks: NetworkAccess<GenerationNetworks>,
  options: GenerateOptions,
): CheckedOptions {
  const { seed, numSamples } = { ...GENERATE_DEFAULTS, ...options };
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new InputError(`${who}: seed must be an integer of at least 0, got ${seed}.`);
  }
  if (!Number.isInteger(numSamples) || numSamples < 1) {
    throw new InputError(`${who}: numSamples must be an integer of at least 1, got ${numSamples}.`);
  }
  for (const stage of ['structure', 'latent'] as const) {
    const steps = ofStage(options.steps, stage);
    if (steps !== undefined && (!Number.isInteger(steps) || steps < 1)) {
      throw new InputError(`${who}: steps must be an integer of at least 1, got ${steps}.`);
    }
    const guidance = ofStage(options.guidance, stage);
    if (guidance !== undefined && !(guidance >= 0 && Number.isFinite(guidance))) {
      throw new InputError(`${who}: guidance must be a number of at least 0, got ${guidance}.`);
    }
  }
  const { formats } = options;
  if (formats === undefined) {
    return { seed, numSamples, formats: ASSET_FORMATS.filter((name) => networks.has(name)) };
  }
  checkFormats(who, formats);
  for (const format of formats) {
    if (networks.has(format)) continue;
    throw new InputError(`${who}: the model has no decoder for ${format}.`);
  }
  return { seed, numSamples, formats };
}

function ofStage(value: PerStage | undefined, stage: 'structure' | 'latent'): number | undefined {
  return typeof value === 'number' ? value : value?.[stage];
}

function samplingParams(
  options: GenerateOptions,
  stage: 'structure' | 'latent',
): SamplingOverrides {
  return {
    steps: ofStage(options.steps, stage),
    cfgStrength: ofStage(options.guidance, stage),
  };
}

/** One run on its way from condition to assets. */
interface Run {
  readonly device: Device;
  readonly networks: NetworkAccess<GenerationNetworks>;
  readonly settings: GenerationSettings;
  readonly conditioning: Conditioning;
  readonly options: GenerateOptions & CheckedOptions;
  readonly generator: TorchGenerator;
}

async function makeStructure(run: Run): Promise<SparseStructure> {
  const { device, networks, settings, conditioning, options, generator } = run;
  const { signal } = options;
  using latent = await networks.use(
    'structureFlow',
    async (network) => {
      using noise = structureNoise(generator, network.config, options.numSamples, device);
      return await sampleStructure(network, noise, conditioning, {
        sampler: settings.structureSampler,
        params: samplingParams(options, 'structure'),
        onProgress: options.onProgress,
        signal,
      });
    },
    signal,
  );
  return await networks.use(
    'structureDecoder',
    async (network) => singleStep('occupancy', options, () => decodeOccupancy(network, latent)),
    signal,
  );
}

async function makeLatent(run: Run, structure: SparseStructure): Promise<SparseTensor> {
  const { networks, settings, conditioning, options, generator } = run;
  const { signal } = options;
  return networks.use(
    'latentFlow',
    async (network) => {
      using noise = latentNoise(generator, network.config, structure);
      return await sampleLatent(network, structure, noise, conditioning, settings.normalization, {
        sampler: settings.latentSampler,
        params: samplingParams(options, 'latent'),
        onProgress: options.onProgress,
        signal,
      });
    },
    signal,
  );
}

/** Decodes every format asked for: one list of parts, by sample, for each. */
async function decodeFormats(run: Run, slat: SparseTensor): Promise<readonly DecodedFormat[]> {
  const { device, networks, options } = run;
  const decoded: DecodedFormat[] = [];
  for (const format of options.formats) {
    const parts = await networks.use(
      format,
      async (network): Promise<readonly AssetPart[]> =>
        singleStep(format, options, () => device.run(async () => network.decode(slat))),
      options.signal,
    );
    decoded.push({ format, parts });
  }
  return decoded;
}

interface DecodedFormat {
  readonly format: AssetFormat;
  readonly parts: readonly AssetPart[];
}

/**
 * From a condition to assets: structure, voxels, latents, decoding. Run it in a scope of the device, which then frees
 * everything made on the way.
 *
 * @throws EmptyStructureError when the first stage finds nothing; the signal's reason when aborted.
 */
export async function generateAssets(
  device: Device,
  networks: NetworkAccess<GenerationNetworks>,
  settings: GenerationSettings,
  conditioning: Conditioning,
  options: GenerateOptions & CheckedOptions,
): Promise<Asset[]> {
  const generator = new TorchGenerator(options.seed);
  const run: Run = { device, networks, settings, conditioning, options, generator };
  const structure = await makeStructure(run);
  const decoded =
    options.formats.length === 0 ? [] : await decodeFormats(run, await makeLatent(run, structure));
  const { resolution } = settings;
  const voxels = await readVoxels(structure);
  return voxels.map((coords, sample): Asset => {
    const parts = decoded.map(({ format, parts }) => [format, parts[sample]] as const);
    const asset: Asset = { voxels: { kind: 'voxels', coords, resolution } };
    return Object.assign(asset, Object.fromEntries(parts));
  });
}
