/** Arguments of the published image model set, as its configuration files have them. */
import type { FlowSampler } from '@pergola/trellis';

const flow = {
  in_channels: 8,
  out_channels: 8,
  model_channels: 1024,
  cond_channels: 1024,
  num_blocks: 24,
  num_heads: 16,
  mlp_ratio: 4,
  pe_mode: 'ape',
  qk_rms_norm: true,
};

const torso = {
  resolution: 64,
  model_channels: 768,
  latent_channels: 8,
  num_blocks: 12,
  num_heads: 12,
  mlp_ratio: 4,
  attn_mode: 'swin',
  window_size: 8,
};

/** Classes of the networks in the published image set that the benchmark runs. */
export type PublishedName =
  | 'SparseStructureFlowModel'
  | 'SLatFlowModel'
  | 'SparseStructureDecoder'
  | 'SLatGaussianDecoder'
  | 'SLatRadianceFieldDecoder'
  | 'SLatMeshDecoder'
  | 'DinoVisionTransformer';

/** Arguments by class. */
export const PUBLISHED_NETWORKS: Readonly<Record<PublishedName, Record<string, unknown>>> = {
  SparseStructureFlowModel: { ...flow, resolution: 16, patch_size: 1 },
  SLatFlowModel: {
    ...flow,
    resolution: 64,
    patch_size: 2,
    num_io_res_blocks: 2,
    io_block_channels: [128],
  },
  SparseStructureDecoder: {
    out_channels: 1,
    latent_channels: 8,
    num_res_blocks: 2,
    num_res_blocks_middle: 2,
    channels: [512, 128, 32],
  },
  SLatGaussianDecoder: {
    ...torso,
    representation_config: {
      lr: { _xyz: 1, _features_dc: 1, _opacity: 1, _scaling: 1, _rotation: 0.1 },
      perturb_offset: true,
      voxel_size: 1.5,
      num_gaussians: 32,
      '2d_filter_kernel_size': 0.1,
      '3d_filter_kernel_size': 0.0009,
      scaling_bias: 0.004,
      opacity_bias: 0.1,
      scaling_activation: 'softplus',
    },
  },
  SLatRadianceFieldDecoder: { ...torso, representation_config: { rank: 16, dim: 8 } },
  SLatMeshDecoder: { ...torso, representation_config: { use_color: true } },
  DinoVisionTransformer: {
    img_size: 518,
    patch_size: 14,
    embed_dim: 1024,
    depth: 24,
    num_heads: 16,
    num_register_tokens: 4,
  },
};

/** Tokens of a picture: class, registers and 37 by 37 patches. */
export const IMAGE_TOKENS = 1374;

/** Both samplers of the published image set. */
export const PUBLISHED_SAMPLER: FlowSampler = {
  name: 'FlowEulerGuidanceIntervalSampler',
  sigmaMin: 1e-5,
  params: { steps: 25, rescaleT: 3, cfgStrength: 5, cfgInterval: [0.5, 1] },
};
