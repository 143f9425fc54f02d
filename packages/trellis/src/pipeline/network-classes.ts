/** Every network class by name: what parameters it has, and how it is loaded. */
import type { Device } from '@pergola/core';
import type { LoadOptions } from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { ClipTextModel } from '../conditioning/clip-text.ts';
import { dinoStore } from '../conditioning/dinov2-keys.ts';
import { DinoVisionTransformer } from '../conditioning/dinov2.ts';
import type { DinoConfig, ModelConfigs, ModelName } from '../models/config.ts';
import type { Network } from '../models/network.ts';
import { SLatEncoder } from '../models/slat-encoder.ts';
import { SLatFlowModel } from '../models/slat-flow.ts';
import { SLatGaussianDecoder } from '../models/slat-gaussian-decoder.ts';
import { SLatMeshDecoder } from '../models/slat-mesh-decoder.ts';
import { SLatRadianceFieldDecoder } from '../models/slat-radiance-field-decoder.ts';
import { SparseStructureDecoder } from '../models/sparse-structure-decoder.ts';
import { SparseStructureEncoder } from '../models/sparse-structure-encoder.ts';
import { SparseStructureFlowModel } from '../models/sparse-structure-flow.ts';
import type { ParameterSpec } from '../nn/parameters.ts';

/** What a network class offers before there is an instance. */
export interface NetworkClass<Config, N extends Network = Network> {
  expectedParameters(config: Config): ParameterSpec[];
  load(store: WeightStore, config: Config, device: Device, options?: LoadOptions): Promise<N>;
  /** The store under the names of `expectedParameters`, for classes whose files come with others. */
  named?(store: WeightStore, config: Config): WeightStore;
}

/** Instances by class name. */
export interface NetworksByName {
  SparseStructureFlowModel: SparseStructureFlowModel;
  SparseStructureEncoder: SparseStructureEncoder;
  SparseStructureDecoder: SparseStructureDecoder;
  SLatFlowModel: SLatFlowModel;
  SLatEncoder: SLatEncoder;
  SLatGaussianDecoder: SLatGaussianDecoder;
  SLatRadianceFieldDecoder: SLatRadianceFieldDecoder;
  SLatMeshDecoder: SLatMeshDecoder;
  DinoVisionTransformer: DinoVisionTransformer;
  CLIPTextModel: ClipTextModel;
}

const dino: NetworkClass<DinoConfig, DinoVisionTransformer> = {
  expectedParameters: (config) => DinoVisionTransformer.expectedParameters(config),
  load: (...args) => DinoVisionTransformer.load(...args),
  named: dinoStore,
};

/** The classes that a model file can name. */
export const NETWORK_CLASSES: {
  readonly [Name in ModelName]: NetworkClass<ModelConfigs[Name], NetworksByName[Name]>;
} = {
  SparseStructureFlowModel,
  SparseStructureEncoder,
  SparseStructureDecoder,
  SLatFlowModel,
  SLatEncoder,
  SLatGaussianDecoder,
  SLatRadianceFieldDecoder,
  SLatMeshDecoder,
  DinoVisionTransformer: dino,
  CLIPTextModel: ClipTextModel,
};
