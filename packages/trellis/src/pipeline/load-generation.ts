/** Finds the networks that every pipeline needs in a model set. */
import type { Device } from '@pergola/core';
import type { TorsoDType } from '../checkpoints/load-parameters.ts';
import type { GenerationNetworks, GenerationSettings } from './generation.ts';
import { findNetwork, requireNetwork, type ModelSet } from './model-set.ts';
import type { NetworkSources } from './network-set.ts';

/** Options of loading a pipeline. */
export interface LoadPipelineOptions {
  /** Where everything runs. It stays the caller's. */
  readonly device: Device;
  /**
   * Dtype in which the networks' torsos are stored and compute. Default: `f16` on devices with the feature `f16`
   * (native half arithmetic), else `f32`.
   */
  readonly dtype?: TorsoDType | undefined;
  /**
   * Device memory for weights in bytes. When it is below the sum of all networks, each network is loaded before its
   * stage and dropped after it. Default: no limit.
   */
  readonly memoryBudget?: number | undefined;
  /** Stops loading with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The dtype to load in. */
export function torsoDType({ device, dtype }: LoadPipelineOptions): TorsoDType {
  return dtype ?? (device.info.features.includes('f16') ? 'f16' : 'f32');
}

/** The networks behind the condition, and how they are sampled. @throws CheckpointError, InputError. */
export async function openGeneration(
  set: ModelSet,
  device: Device,
  dtype: TorsoDType,
): Promise<{ sources: NetworkSources<GenerationNetworks>; settings: GenerationSettings }> {
  const { file } = set;
  const structureFlow = await requireNetwork(
    set,
    'sparse_structure_flow_model',
    'SparseStructureFlowModel',
    device,
    dtype,
  );
  const structureDecoder = await requireNetwork(
    set,
    'sparse_structure_decoder',
    'SparseStructureDecoder',
    device,
    dtype,
  );
  const latentFlow = await requireNetwork(set, 'slat_flow_model', 'SLatFlowModel', device, dtype);
  const gaussians = await findNetwork(set, 'slat_decoder_gs', 'SLatGaussianDecoder', device, dtype);
  const mesh = await findNetwork(set, 'slat_decoder_mesh', 'SLatMeshDecoder', device, dtype);
  const radianceField = await findNetwork(
    set,
    'slat_decoder_rf',
    'SLatRadianceFieldDecoder',
    device,
    dtype,
  );
  return {
    sources: {
      structureFlow,
      structureDecoder,
      latentFlow,
      ...(gaussians === undefined ? {} : { gaussians }),
      ...(radianceField === undefined ? {} : { radianceField }),
      ...(mesh === undefined ? {} : { mesh }),
    } as NetworkSources<GenerationNetworks>,
    settings: {
      structureSampler: file.structureSampler,
      latentSampler: file.latentSampler,
      normalization: file.normalization,
      resolution: latentFlow.description.config.resolution,
    },
  };
}
