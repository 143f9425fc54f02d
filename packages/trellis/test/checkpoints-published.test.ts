/** Parameter counts and file sizes of the published checkpoints, predicted from their configurations alone. */
import { bytesPerElement, sizeOf } from '@pergola/core';
import {
  CLIP_VIT_LARGE_PATCH14,
  ClipTextModel,
  countParameters,
  describeModel,
  DINOV2_VITL14_REG,
  DinoVisionTransformer,
  NETWORK_CLASSES,
  type NetworkClass,
  type ParameterSpec,
} from '@pergola/trellis';
import { expect, test } from 'vitest';

const flow = { in_channels: 8, out_channels: 8, mlp_ratio: 4, pe_mode: 'ape', qk_rms_norm: true };
const structureFlow = { ...flow, resolution: 16, patch_size: 1, use_fp16: true };
const latentFlow = { ...flow, resolution: 64, patch_size: 2, num_io_res_blocks: 2, use_fp16: true };
const large = { model_channels: 1024, num_blocks: 24, num_heads: 16 };
const base = { model_channels: 768, num_blocks: 12, num_heads: 12 };
const huge = { model_channels: 1280, num_blocks: 28, num_heads: 16 };
const [image, text] = [{ cond_channels: 1024 }, { cond_channels: 768 }];
const torso = {
  ...base,
  resolution: 64,
  latent_channels: 8,
  mlp_ratio: 4,
  attn_mode: 'swin',
  window_size: 8,
  use_fp16: true,
};
const vae = { latent_channels: 8, num_res_blocks: 2, num_res_blocks_middle: 2, use_fp16: true };
const gaussians = {
  lr: { _xyz: 1, _features_dc: 1, _opacity: 1, _scaling: 1, _rotation: 0.1 },
  perturb_offset: true,
  voxel_size: 1.5,
  num_gaussians: 32,
  '2d_filter_kernel_size': 0.1,
  '3d_filter_kernel_size': 9e-4,
  scaling_bias: 4e-3,
  opacity_bias: 0.1,
  scaling_activation: 'softplus',
};

/** Class, arguments, parameters, bytes of the file. */
const PUBLISHED: Record<string, [string, object, number, number]> = {
  'image-large structure flow': [
    'SparseStructureFlowModel',
    { ...structureFlow, ...large, ...image },
    555_543_560,
    1_130_770_840,
  ],
  'image-large latent flow': [
    'SLatFlowModel',
    { ...latentFlow, ...large, ...image, io_block_channels: [128] },
    600_432_520,
    1_203_755_136,
  ],
  'text-base structure flow': [
    'SparseStructureFlowModel',
    { ...structureFlow, ...base, ...text },
    156_726_536,
    327_736_456,
  ],
  'text-base latent flow': [
    'SLatFlowModel',
    { ...latentFlow, ...base, ...text, io_block_channels: [128] },
    185_364_616,
    372_419_896,
  ],
  'text-large structure flow': [
    'SparseStructureFlowModel',
    { ...structureFlow, ...large, ...text },
    542_960_648,
    1_105_604_976,
  ],
  'text-large latent flow': [
    'ElasticSLatFlowModel',
    { ...latentFlow, ...large, ...text, io_block_channels: [128] },
    587_849_608,
    1_178_589_272,
  ],
  'text-xlarge structure flow': [
    'SparseStructureFlowModel',
    { ...structureFlow, ...huge, ...text, qk_rms_norm_cross: true },
    975_440_648,
    1_976_327_512,
  ],
  'text-xlarge latent flow': [
    'SLatFlowModel',
    { ...latentFlow, ...huge, ...text, io_block_channels: [256], num_io_res_blocks: 3 },
    1_073_414_408,
    2_151_142_688,
  ],
  'structure encoder': [
    'SparseStructureEncoder',
    { ...vae, in_channels: 1, channels: [32, 128, 512] },
    59_298_192,
    119_068_016,
  ],
  'structure decoder': [
    'SparseStructureDecoder',
    { ...vae, out_channels: 1, channels: [512, 128, 32] },
    73_671_201,
    147_591_972,
  ],
  'latent encoder': ['SLatEncoder', { ...torso, in_channels: 1024 }, 85_817_104, 173_242_816],
  'Gaussian decoder': [
    'SLatGaussianDecoder',
    { ...torso, representation_config: gaussians },
    85_369_024,
    171_450_952,
  ],
  'radiance field decoder': [
    'SLatRadianceFieldDecoder',
    { ...torso, representation_config: { rank: 16, dim: 8 } },
    85_369_024,
    171_450_488,
  ],
  'mesh decoder': [
    'SLatMeshDecoder',
    { ...torso, representation_config: { use_color: true } },
    90_926_693,
    181_903_412,
  ],
};

/** Size of a safetensors file without metadata: entries sorted by dtype, then name, the header padded to 8 bytes. */
function fileBytes(specs: readonly ParameterSpec[]): number {
  const order = specs
    .map((spec) => ({ ...spec, bytes: sizeOf(spec.shape) * bytesPerElement(spec.dtype) }))
    .sort((a, b) => b.dtype.localeCompare(a.dtype) || (a.name < b.name ? -1 : 1));
  let at = 0;
  const header: Record<string, object> = {};
  for (const { name, dtype, shape, bytes } of order) {
    header[name] = { dtype: dtype.toUpperCase(), shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  return 8 + Math.ceil(JSON.stringify(header).length / 8) * 8 + at;
}

test.each(Object.entries(PUBLISHED))('%s', (_name, [className, args, parameters, bytes]) => {
  const { name, config } = describeModel(className, args, 'published.json');
  const specs = (NETWORK_CLASSES[name] as NetworkClass<unknown>).expectedParameters(config);
  // Fixed tables are stored in the file but do not count.
  expect(countParameters(specs)).toBe(parameters);
  expect(fileBytes(specs)).toBe(bytes);
});

test('encoders', () => {
  expect(countParameters(DinoVisionTransformer.expectedParameters(DINOV2_VITL14_REG))).toBe(
    304_372_736,
  );
  expect(countParameters(ClipTextModel.expectedParameters(CLIP_VIT_LARGE_PATCH14))).toBe(
    123_060_480,
  );
});
