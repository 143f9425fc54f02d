/**
 * The stages of a run as plain functions: each takes and returns values and can be run, tested and replaced alone.
 *
 * Tensors that a stage returns are the caller's; what it makes on the way is freed.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.3
 */
import {
  add,
  argwhere,
  canRecord,
  greater,
  InputError,
  mul,
  PergolaError,
  type Device,
  type Tensor,
  type TorchGenerator,
} from '@pergola/core';
import { SparseStructure, SparseTensor } from '@pergola/sparse';
import type { FlowCondition, FlowNetwork, FlowTime } from '../models/flow-network.ts';
import { TimeSlot } from '../nn/timestep-embedding.ts';
import type { FlowConfig } from '../models/config.ts';
import type { SLatFlowModel } from '../models/slat-flow.ts';
import type { SparseStructureDecoder } from '../models/sparse-structure-decoder.ts';
import type { SparseStructureFlowModel } from '../models/sparse-structure-flow.ts';
import type { MultiConditionMode } from '../sampling/guidance.ts';
import {
  mergedParams,
  sampleFlow,
  type FlowSampler,
  type SampleRequest,
} from '../sampling/flow-sampler.ts';
import { StageProgress, type RunControl, type Stage } from './progress.ts';

/** What an asset is made from, as tokens of an encoder. */
export interface Conditioning {
  /** f32 `[1, L, C]` each; one, or one per picture of the same object. */
  readonly positive: readonly Tensor[];
  /** f32 `[1, L, C]`, or `zeros` for tokens that are all zero. */
  readonly negative: Tensor | 'zeros';
  /** How several positive conditions share a sample. */
  readonly mode?: MultiConditionMode | undefined;
}

/** Overrides of a sampler's own parameters. */
export type SamplingOverrides = NonNullable<SampleRequest<unknown>['params']>;

/** How one sampling stage runs. */
export interface SamplingOptions extends RunControl {
  readonly sampler: FlowSampler;
  readonly params?: SamplingOverrides;
}

/** Per-channel statistics of the latents that the second flow was trained on. */
export interface LatentNormalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** The first stage found no voxel: there is nothing to go on with. */
export class EmptyStructureError extends PergolaError {}

/** Noise of the first stage, `[samples, channels, R, R, R]`: the first draw of a run. */
export function structureNoise(
  generator: TorchGenerator,
  config: FlowConfig,
  samples: number,
  device: Device,
): Tensor {
  const { in_channels: channels, resolution } = config;
  const shape = [samples, channels, resolution, resolution, resolution];
  return device.tensor(generator.randn(shape), shape);
}

/** Noise of the second stage, `[N, channels]` for all samples together: the second draw of a run. */
export function latentNoise(
  generator: TorchGenerator,
  config: FlowConfig,
  structure: SparseStructure,
): Tensor {
  const shape = [structure.count, config.in_channels];
  return structure.device.tensor(generator.randn(shape), shape);
}

/** Samples with progress, conditions prepared for the network and freed again. */
async function sample(
  stage: Stage,
  network: FlowNetwork<FlowConfig>,
  evaluate: (x: Tensor, time: FlowTime, condition: FlowCondition) => Tensor,
  batchSize: number,
  noise: Tensor,
  conditioning: Conditioning,
  options: SamplingOptions,
): Promise<Tensor> {
  const { sampler, params = {}, signal } = options;
  const { steps } = mergedParams(sampler, params);
  const progress = new StageProgress(stage, steps, options);
  await progress.report(0);
  let reached: Promise<void> = Promise.resolve();
  const { positive, negative, mode } = conditioning;
  const { device } = network;
  return device.run(async () => {
    const trailing = canRecord(device);
    const slot = trailing ? new TimeSlot(device, batchSize) : undefined;
    const sampled = await sampleFlow(
      sampler,
      (x, time, which) => evaluate(x, slot ?? time, which),
      noise,
      {
        conditions: positive.map((tokens) => network.prepareCondition(tokens)),
        negative:
          negative === 'zeros'
            ? network.prepareNullCondition()
            : network.prepareCondition(negative),
        mode,
        params,
        signal,
        setTime: slot && ((time) => slot.set(time)),
        onStep: async ({ step }) => {
          // Work is only enqueued so far: without waiting, a progress bar would run ahead of the device. Where the device
          // works by itself, the host prepares a step while the one before is computed.
          const before = reached;
          reached = device.sync();
          reached.catch(() => {});
          await (trailing ? before : reached);
          const done = trailing ? step - 1 : step;
          if (done > 0) await progress.report(done);
        },
      },
    );
    await reached;
    if (trailing) await progress.report(steps);
    return sampled;
  });
}

/**
 * First stage: the latent of the occupancy grid.
 *
 * @param noise f32 `[B, C, R, R, R]`; stays the caller's.
 * @returns the shape of `noise`.
 */
export async function sampleStructure(
  network: SparseStructureFlowModel,
  noise: Tensor,
  conditioning: Conditioning,
  options: SamplingOptions,
): Promise<Tensor> {
  return sample(
    'structure',
    network,
    (x, time, condition) => network.forward(x, time, condition),
    noise.shape[0]!,
    noise,
    conditioning,
    options,
  );
}

/**
 * Occupied voxels of a structure latent: those whose logit is above 0, in the order of the grid.
 *
 * @param latent f32 `[B, C, R, R, R]`.
 * @returns the structure, which the caller frees.
 * @throws EmptyStructureError when a sample has no voxel.
 */
export async function decodeOccupancy(
  decoder: SparseStructureDecoder,
  latent: Tensor,
): Promise<SparseStructure> {
  const batchSize = latent.shape[0]!;
  const structure = await decoder.device.run(async () => {
    const logits = decoder.forward(latent);
    // [B, 1, X, Y, Z]: the channel of a hit says nothing.
    const hits = await argwhere(greater(logits.select(1, 0), 0));
    return SparseStructure.create(hits, { batchSize });
  });
  const empty = structure.lengths.indexOf(0);
  if (empty >= 0) {
    structure.dispose();
    const which = batchSize === 1 ? '' : ` in sample ${empty + 1} of ${batchSize}`;
    throw new EmptyStructureError(
      `decodeOccupancy: the first stage must find an object, got no voxel${which}; try another seed, more steps or another picture.`,
    );
  }
  return structure;
}

/**
 * Second stage: structured latents on the voxels, scaled back to what the decoders take.
 *
 * @param noise f32 `[N, C]`; stays the caller's.
 * @throws InputError when the statistics do not fit the channels.
 */
export async function sampleLatent(
  network: SLatFlowModel,
  structure: SparseStructure,
  noise: Tensor,
  conditioning: Conditioning,
  normalization: LatentNormalization,
  options: SamplingOptions,
): Promise<SparseTensor> {
  const { mean, std } = normalization;
  const channels = network.config.out_channels;
  if (mean.length !== channels || std.length !== channels) {
    throw new InputError(
      `sampleLatent: normalization must have ${channels} means and deviations, got ${mean.length} and ${std.length}.`,
    );
  }
  const { device } = network;
  const pyramid = await network.prepare(structure);
  using sampled = await sample(
    'latent',
    network,
    (feats, time, condition) => network.velocity(feats, time, condition, pyramid),
    structure.batchSize,
    noise,
    conditioning,
    options,
  ).finally(() => network.forgetStructure());
  const feats = device.run(() =>
    add(mul(sampled, device.tensor(std, [channels])), device.tensor(mean, [channels])),
  );
  return new SparseTensor(structure, feats);
}

/** Voxels of each sample on the host, `[N, 3]`. */
export async function readVoxels(structure: SparseStructure): Promise<Int32Array[]> {
  const rows = (await structure.coords.values()) as Int32Array;
  let row = 0;
  return structure.lengths.map((length) => {
    const coords = new Int32Array(length * 3);
    for (let i = 0; i < length; i++, row++)
      coords.set(rows.subarray(row * 4 + 1, row * 4 + 4), i * 3);
    return coords;
  });
}
