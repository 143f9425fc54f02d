/**
 * Second stage: the flow of structured latents, a transformer over the voxels of a sparse structure between
 * convolutional levels at higher resolution.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.3
 */
import { add, concat, layerNorm, shapeMismatch, type Device, type Tensor } from '@pergola/core';
import type { Downsampling, SparseStructure, SparseTensor } from '@pergola/sparse';
import {
  loadParameters,
  type LoadedParameters,
  type LoadOptions,
} from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { checkPositions, embedPositions, uploadPositionTable } from '../nn/position-embedding.ts';
import { linearParameters, prefixed, type ParameterSpec } from '../nn/parameters.ts';
import {
  sparseResBlock,
  sparseResBlockParameters,
  type Grid,
  type Resampling,
  type SparseResBlockConfig,
} from '../nn/sparse-res-block.ts';
import { consume, project, toDType } from '../nn/steps.ts';
import { timestepEmbedderParameters } from '../nn/timestep-embedding.ts';
import type { SLatFlowConfig } from './config.ts';
import {
  flowBlockParameters,
  FlowNetwork,
  sharedModulationParameters,
  timesOfBatch,
  type FlowCondition,
  type FlowTime,
} from './flow-network.ts';

const FINAL_EPS = 1e-5;

/** A residual block with its place in the pyramid of grids; level 0 is the finest. */
interface LevelBlock extends SparseResBlockConfig {
  /** Level of the block's output. */
  readonly level: number;
  readonly kind: Resampling['kind'];
}

/** The residual blocks before the transformer: per level some that keep it, then one that halves the grid. */
export function inputBlocks(config: SLatFlowConfig): LevelBlock[] {
  const { io_block_channels: widths, model_channels: embedding } = config;
  const blocks: LevelBlock[] = [];
  widths.forEach((width, level) => {
    for (let i = 1; i < config.num_io_res_blocks; i++) {
      blocks.push({ inputs: width, outputs: width, embedding, level, kind: 'same' });
    }
    const next = widths[level + 1] ?? embedding;
    blocks.push({ inputs: width, outputs: next, embedding, level: level + 1, kind: 'down' });
  });
  return blocks;
}

/** The residual blocks after the transformer, whose inputs may be doubled by the features of those before it. */
export function outBlocks(config: SLatFlowConfig): LevelBlock[] {
  const { io_block_channels: widths, model_channels: embedding } = config;
  const doubled = config.use_skip_connection ? 2 : 1;
  const blocks: LevelBlock[] = [];
  for (let level = widths.length - 1; level >= 0; level--) {
    const outputs = widths[level]!;
    const coarse = widths[level + 1] ?? embedding;
    blocks.push({ inputs: coarse * doubled, outputs, embedding, level, kind: 'up' });
    for (let i = 1; i < config.num_io_res_blocks; i++) {
      blocks.push({ inputs: outputs * doubled, outputs, embedding, level, kind: 'same' });
    }
  }
  return blocks;
}

function levelParameters(prefix: string, blocks: readonly LevelBlock[]): ParameterSpec[] {
  return blocks.flatMap((block, i) => prefixed(`${prefix}.${i}`, sparseResBlockParameters(block)));
}

/** The grids of one structure, finest first, and the steps between them. Owned by the structure. */
export interface Pyramid {
  readonly structure: SparseStructure;
  readonly grids: readonly Grid[];
  readonly downs: readonly Downsampling[];
}

/** Velocity of structured latents under a condition. */
export class SLatFlowModel extends FlowNetwork<SLatFlowConfig> {
  readonly #positionTable: Tensor;
  // Position embeddings of the grid seen last: a sampler calls with one structure many times.
  #positions: { readonly structure: SparseStructure; readonly embedding: Tensor } | undefined;

  /** All parameters, in the order of the published code. */
  static expectedParameters(config: SLatFlowConfig): ParameterSpec[] {
    const { model_channels: channels } = config;
    const width = config.io_block_channels[0] ?? channels;
    return [
      ...timestepEmbedderParameters('t_embedder', channels),
      ...sharedModulationParameters(config),
      ...linearParameters('input_layer', config.in_channels, width, 'f32'),
      ...levelParameters('input_blocks', inputBlocks(config)),
      ...flowBlockParameters(config),
      ...levelParameters('out_blocks', outBlocks(config)),
      ...linearParameters('out_layer', width, config.out_channels, 'f32'),
    ];
  }

  /** @throws CheckpointError when the store does not hold exactly the expected parameters. */
  static async load(
    store: WeightStore,
    config: SLatFlowConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<SLatFlowModel> {
    const expected = SLatFlowModel.expectedParameters(config);
    return new SLatFlowModel(await loadParameters(store, expected, device, options), config);
  }

  private constructor(parameters: LoadedParameters, config: SLatFlowConfig) {
    super(parameters, config);
    this.#positionTable = this.own(uploadPositionTable(this.device, config.model_channels));
  }

  /**
   * Predicts the velocity.
   *
   * @param x f32 feats `[N, in_channels]`, positions inside the configured resolution.
   * @param t flow time times 1000.
   * @param condition prepared by this network.
   * @returns f32 feats `[N, out_channels]` on the same structure.
   * @throws ShapeError when a shape does not fit the configuration; InputError for a condition of another
   *   network or positions beyond 1023.
   */
  async forward(x: SparseTensor, t: FlowTime, condition: FlowCondition): Promise<SparseTensor> {
    this.#checkFeats(x.feats);
    return x.withFeats(this.velocity(x.feats, t, condition, await this.prepare(x.structure)));
  }

  /**
   * Builds what all evaluations on a structure share: its coarser grids, kernel maps and embedded positions.
   *
   * @throws InputError for positions beyond 1023.
   */
  async prepare(structure: SparseStructure): Promise<Pyramid> {
    checkPositions('slatFlow', structure);
    const pyramid = await this.#buildPyramid(structure);
    this.#embedPositions(coarsest(pyramid));
    return pyramid;
  }

  /** `forward` on a prepared structure, without waiting: feats `[N, in_channels]` to feats `[N, out_channels]`. */
  velocity(feats: Tensor, t: FlowTime, condition: FlowCondition, pyramid: Pyramid): Tensor {
    const { use_skip_connection } = this.config;
    const { batchSize } = pyramid.structure;
    this.#checkFeats(feats);
    const times = timesOfBatch('slatFlow', t, batchSize);
    this.checkCondition('slatFlow', condition, batchSize);
    const coarse = coarsest(pyramid);
    const positions = this.#embedPositions(coarse);

    return this.device.run(() => {
      const inputs = this.embedTime(times);
      const runBlock = (rows: Tensor, block: LevelBlock, name: string): Tensor =>
        sparseResBlock(
          rows,
          inputs.time,
          pyramid.grids[block.level]!,
          resampling(block, pyramid),
          this.weights.at(name),
        );
      let h = consume(project(feats, this.weights.at('input_layer')), (h) =>
        toDType(h, this.dtype),
      );
      const skips: Tensor[] = [];
      inputBlocks(this.config).forEach((block, i) => {
        // A skip is a second handle: the next block frees its input.
        h = runBlock(h, block, `input_blocks.${i}`);
        skips.push(h.alias());
      });
      h = consume(h, (h) => add(h, positions));
      h = this.runBlocks(h, coarse, inputs, condition);
      outBlocks(this.config).forEach((block, i) => {
        const skip = skips.pop()!;
        if (use_skip_connection) h = consume(h, (h) => concat([h, skip], { axis: 1 }));
        skip.dispose();
        h = runBlock(h, block, `out_blocks.${i}`);
      });
      return consume(h, (h) => {
        const normal = layerNorm(h, undefined, undefined, { eps: FINAL_EPS });
        return project(toDType(normal, 'f32'), this.weights.at('out_layer'));
      });
    });
  }

  #checkFeats(feats: Tensor): void {
    const { in_channels: channels } = this.config;
    if (feats.rank === 2 && feats.shape[1] === channels) return;
    throw shapeMismatch('slatFlow', 'x', `[N, ${channels}]`, feats.shape);
  }

  /** Frees what is kept of the structure seen last. */
  forgetStructure(): void {
    if (this.#positions === undefined) return;
    this.release(this.#positions.embedding);
    this.#positions = undefined;
  }

  async #buildPyramid(structure: SparseStructure): Promise<Pyramid> {
    const grids: Grid[] = [];
    const downs: Downsampling[] = [];
    const levels = this.config.io_block_channels.length;
    if (levels === 0) return { structure, grids, downs };
    let current = structure;
    for (let level = 0; ; level++) {
      grids.push({ structure: current, map: await current.kernelMap({ kernelSize: 3 }) });
      if (level === levels) return { structure, grids, downs };
      const down = await current.downsample(2);
      downs.push(down);
      current = down.structure;
    }
  }

  /** Embedded positions `[M, C]` in the torso's dtype, kept until another structure comes. */
  #embedPositions(structure: SparseStructure): Tensor {
    if (this.#positions?.structure === structure) return this.#positions.embedding;
    this.forgetStructure();
    const embedding = this.device.run(() => {
      const table = this.#positionTable;
      return toDType(
        embedPositions(structure.coords, table, this.config.model_channels),
        this.dtype,
      );
    });
    this.#positions = { structure, embedding: this.own(embedding) };
    return embedding;
  }
}

/** The grid on which the transformer runs. */
function coarsest({ structure, grids }: Pyramid): SparseStructure {
  return grids[grids.length - 1]?.structure ?? structure;
}

function resampling({ kind, level }: LevelBlock, pyramid: Pyramid): Resampling {
  if (kind === 'same') return { kind };
  return { kind, down: pyramid.downs[kind === 'down' ? level - 1 : level]! };
}
