/** What both flow networks share: time embedding, conditions prepared once, and the run through the blocks. */
import { formatShape, InputError, ShapeError, silu, type Tensor } from '@pergola/core';
import type { LoadedParameters } from '../checkpoints/load-parameters.ts';
import { contextKeys, contextOfZeros, type Context } from '../nn/cross-attention.ts';
import {
  modulatedBlock,
  modulatedBlockParameters,
  type ModulatedBlockConfig,
} from '../nn/modulated-block.ts';
import { evenRows, type RowLayout } from '../nn/packed-rows.ts';
import { blockParameters, linearParameters, type ParameterSpec } from '../nn/parameters.ts';
import { project, toDType } from '../nn/steps.ts';
import { TensorOwner } from '../nn/tensor-owner.ts';
import { embedTimesteps, TimeSlot } from '../nn/timestep-embedding.ts';
import type { FlowConfig } from './config.ts';
import { Network } from './network.ts';

/** The sizes of a flow network's transformer blocks. */
export function blockConfig(config: FlowConfig): ModulatedBlockConfig {
  return {
    channels: config.model_channels,
    contextChannels: config.cond_channels,
    heads: config.num_heads,
    mlpRatio: config.mlp_ratio,
    qkRmsNorm: config.qk_rms_norm,
    qkRmsNormCross: config.qk_rms_norm_cross,
    shareModulation: config.share_mod,
  };
}

/** The shared modulation, where there is one. It lies outside the torso and stays f32. */
export function sharedModulationParameters(config: FlowConfig): ParameterSpec[] {
  if (!config.share_mod) return [];
  const { model_channels: channels } = config;
  return linearParameters('adaLN_modulation.1', channels, 6 * channels, 'f32');
}

export function flowBlockParameters(config: FlowConfig): ParameterSpec[] {
  const block = modulatedBlockParameters(blockConfig(config));
  return blockParameters('blocks', config.num_blocks, () => block);
}

/**
 * A condition as one flow network uses it: keys and values of every block, computed once and good for all steps.
 * Made by `prepareCondition` and `prepareNullCondition` of the network that it is for.
 */
export class FlowCondition extends TensorOwner {
  /** The network that it is for. */
  readonly network: object;
  /** Conditions in it; 1 serves any batch, `undefined` is the null condition, which also serves any batch. */
  readonly batchSize: number | undefined;
  readonly contexts: readonly Context[];

  /** @internal */
  constructor(network: Network, contexts: readonly Context[], layout?: RowLayout) {
    super(network.device);
    this.network = network;
    this.batchSize = layout?.batchSize;
    this.contexts = contexts;
    if (layout !== undefined) this.own(layout.offsets);
    for (const context of contexts) {
      if (context.kind === 'constant') this.own(context.row);
      else for (const part of [context.k, context.v]) this.own(part);
    }
  }
}

/** Time embedding of one forward pass. */
export interface TimeInputs {
  /** SiLU of the embedding, in the torso's dtype, `[B, C]`. */
  readonly time: Tensor;
  /** Shared modulation `[B, 6C]` in the torso's dtype, where the network has one. */
  readonly modulation?: Tensor;
}

/** A network that predicts the velocity of a flow under a condition. */
export abstract class FlowNetwork<Config extends FlowConfig> extends Network {
  readonly config: Config;

  protected constructor(parameters: LoadedParameters, config: Config) {
    super(parameters);
    this.config = config;
  }

  /**
   * Computes the keys and values of a condition.
   *
   * @param condition float `[B, L, cond_channels]`.
   * @throws ShapeError when the shape does not fit.
   */
  prepareCondition(condition: Tensor): FlowCondition {
    const { cond_channels: channels, num_heads: heads, num_blocks: blocks } = this.config;
    const { shape } = condition;
    if (shape.length !== 3 || shape[2] !== channels) {
      throw new ShapeError(
        `prepareCondition: condition must be [B, L, ${channels}], got ${formatShape(shape)}.`,
      );
    }
    const [batch, length] = shape as [number, number, number];
    return this.device.run(() => {
      const rows = toDType(condition.reshape(batch * length, channels), this.dtype);
      const layout = evenRows(this.device, batch, length);
      const contexts = Array.from({ length: blocks }, (_, i) =>
        contextKeys(rows, layout, heads, this.weights.at(`blocks.${i}.cross_attn`)),
      );
      return new FlowCondition(this, contexts, layout);
    });
  }

  /** The condition whose tokens are all zero, of any length: the negative condition of the image networks. */
  prepareNullCondition(): FlowCondition {
    return this.device.run(() => {
      const contexts = Array.from({ length: this.config.num_blocks }, (_, i) =>
        contextOfZeros(this.weights.at(`blocks.${i}.cross_attn`)),
      );
      return new FlowCondition(this, contexts);
    });
  }

  /**
   * Checks that a condition is for this network and serves a batch of this size.
   *
   * @throws InputError, ShapeError.
   */
  protected checkCondition(op: string, condition: FlowCondition, batch: number): void {
    if (condition.network !== this) {
      throw new InputError(`${op}: condition must be prepared by this network, got another's.`);
    }
    const { batchSize = 1 } = condition;
    if (batchSize === 1 || batchSize === batch) return;
    throw new ShapeError(
      `${op}: condition must hold 1 or ${batch} conditions for a batch of ${batch}, got ${batchSize}.`,
    );
  }

  /** Embeds the times of a batch. */
  protected embedTime(t: readonly number[] | TimeSlot): TimeInputs {
    return this.device.run(() => {
      const embedding = embedTimesteps(this.device, t, this.weights.at('t_embedder'));
      const time = silu(toDType(embedding, this.dtype));
      if (!this.config.share_mod) return { time };
      const shared = project(silu(embedding), this.weights.at('adaLN_modulation.1'));
      return { time, modulation: toDType(shared, this.dtype) };
    });
  }

  /** Runs packed rows `[N, C]` through all blocks and frees them. */
  protected runBlocks(
    rows: Tensor,
    layout: RowLayout,
    time: TimeInputs,
    condition: FlowCondition,
  ): Tensor {
    const { num_blocks: blocks, num_heads: heads } = this.config;
    const shared = condition.batchSize === 1 && layout.batchSize > 1;
    const queries = shared ? evenRows(this.device, 1, layout.count) : layout;
    const inputs = { rows: layout, queries, heads, ...time };
    let h = rows;
    for (let i = 0; i < blocks; i++) {
      h = modulatedBlock(h, condition.contexts[i]!, inputs, this.weights.at(`blocks.${i}`));
    }
    return h;
  }
}

/** Flow time times 1000: one for the batch, one per element, or read from the device. */
export type FlowTime = number | readonly number[] | TimeSlot;

/**
 * One time per batch element; a single number serves the whole batch.
 *
 * @throws ShapeError when the counts differ.
 */
export function timesOfBatch(op: string, t: FlowTime, batch: number): readonly number[] | TimeSlot {
  const times = typeof t === 'number' ? new Array<number>(batch).fill(t) : t;
  const count = times instanceof TimeSlot ? times.batchSize : times.length;
  if (count === batch) return times;
  throw new ShapeError(`${op}: t must have one time per batch element (${batch}), got ${count}.`);
}
