/** A model set with random weights and sizes of its own, small enough to run in moments. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sizeOf, writeSafetensors, type SafetensorsEntry } from '@pergola/core';
import { describeModel } from '../src/checkpoints/model-file.ts';
import type { ModelName } from '../src/models/config.ts';
import { NETWORK_CLASSES, type NetworkClass } from '../src/pipeline/network-classes.ts';

const LATENT = 5;
const torso = {
  resolution: 8,
  model_channels: 16,
  latent_channels: LATENT,
  num_blocks: 2,
  num_heads: 2,
  mlp_ratio: 2,
  attn_mode: 'swin',
  window_size: 4,
};

const flow = { model_channels: 16, cond_channels: 24, num_blocks: 1, num_heads: 2, mlp_ratio: 2 };

/** Constructor arguments by role; no size equals that of the bundled set. */
const NETWORKS: Readonly<Record<string, { readonly name: ModelName; readonly args: object }>> = {
  sparse_structure_flow_model: {
    name: 'SparseStructureFlowModel',
    args: { ...flow, resolution: 4, in_channels: 3, out_channels: 3, patch_size: 2 },
  },
  sparse_structure_decoder: {
    name: 'SparseStructureDecoder',
    args: {
      latent_channels: 3,
      out_channels: 1,
      num_res_blocks: 1,
      num_res_blocks_middle: 1,
      channels: [8, 4],
    },
  },
  slat_flow_model: {
    name: 'SLatFlowModel',
    args: {
      ...flow,
      resolution: 8,
      in_channels: LATENT,
      out_channels: LATENT,
      patch_size: 2,
      num_io_res_blocks: 2,
      io_block_channels: [8],
      qk_rms_norm: true,
    },
  },
  slat_decoder_gs: {
    name: 'SLatGaussianDecoder',
    args: {
      ...torso,
      representation_config: {
        lr: { _xyz: 1, _features_dc: 1, _opacity: 1, _scaling: 1, _rotation: 0.1 },
        perturb_offset: true,
        voxel_size: 1.5,
        num_gaussians: 3,
        '2d_filter_kernel_size': 0.1,
        '3d_filter_kernel_size': 9e-4,
        scaling_bias: 4e-3,
        opacity_bias: 0.1,
        scaling_activation: 'softplus',
      },
    },
  },
  slat_decoder_rf: {
    name: 'SLatRadianceFieldDecoder',
    args: { ...torso, representation_config: { rank: 3, dim: 4 } },
  },
  slat_decoder_mesh: {
    name: 'SLatMeshDecoder',
    // The group norms of the subdivisions have 32 groups on an eighth of the channels.
    args: {
      ...torso,
      model_channels: 256,
      num_blocks: 1,
      representation_config: { use_color: true },
    },
  },
  image_cond_model: {
    name: 'DinoVisionTransformer',
    args: {
      img_size: 28,
      patch_size: 14,
      embed_dim: 24,
      depth: 1,
      num_heads: 2,
      num_register_tokens: 1,
    },
  },
};

/** Sizes of the text encoder, as the published folder's `config.json` has them. */
const TEXT_ENCODER = {
  model_type: 'clip_text_model',
  vocab_size: 40,
  hidden_size: flow.cond_channels,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 77,
};

/** A byte-pair tokenizer of single letters. */
function letterTokenizer(): object {
  const letters = 'abcdefghijklmnopqrstuvwxyz'.split('');
  const tokens = ['<|startoftext|>', '<|endoftext|>', ...letters.map((letter) => `${letter}</w>`)];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id] as const));
  return {
    version: '1.0',
    decoder: null,
    post_processor: null,
    added_tokens: tokens.slice(0, 2).map((content, id) => ({ id, content, special: true })),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: {
      type: 'Split',
      pattern: { Regex: '[a-z]' },
      behavior: 'Removed',
      invert: true,
    },
    model: { type: 'BPE', vocab, merges: [], end_of_word_suffix: '</w>' },
  };
}

/** Writes the text encoder as a folder, in the form of its published repository. */
async function writeTextEncoder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify(TEXT_ENCODER));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(letterTokenizer()));
  const weights = randomWeights('CLIPTextModel', TEXT_ENCODER, 'text encoder');
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors(weights));
}

const SAMPLER = {
  name: 'FlowEulerGuidanceIntervalSampler',
  args: { sigma_min: 1e-5 },
  params: { steps: 3, cfg_strength: 2, cfg_interval: [0, 1], rescale_t: 2 },
};

/** How a micro set departs from a sound one. */
export interface MicroOptions {
  /** Added to the logit of every voxel: far below 0 none is occupied. Default 0. */
  readonly occupancyBias?: number;
  /** Roles that the set shall not have. */
  readonly without?: readonly string[];
  /** Whether the set is for text. Default false. */
  readonly text?: boolean;
}

/** The stem of a role's files, relative to the set. */
export function microStem(role: string): string {
  return `ckpts/${role}`;
}

function randomWeights(name: ModelName, args: object, location: string): SafetensorsEntry[] {
  const network = NETWORK_CLASSES[name] as NetworkClass<object>;
  const { config } = describeModel(name, args, location);
  let state = 12345;
  return network.expectedParameters(config).map((spec) => {
    const data = new Float32Array(sizeOf(spec.shape));
    const isScale = /norm.*weight|gamma/.test(spec.name);
    const [center, spread] = isScale ? [1, 0.1] : [0, 0.3];
    for (let i = 0; i < data.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      data[i] = center + spread * (state / 2 ** 31 - 1);
    }
    return { name: spec.name, dtype: 'f32', shape: spec.shape, data };
  });
}

/** Weights of a network, the same at every call. */
export function microWeights(role: string, options: MicroOptions = {}): SafetensorsEntry[] {
  const { name, args } = NETWORKS[role]!;
  const weights = randomWeights(name, args, role);
  if (role === 'sparse_structure_decoder') {
    weights
      .find((entry) => entry.name === 'out_layer.2.bias')!
      .data.fill(options.occupancyBias ?? 0);
  }
  return weights;
}

/** Writes the set into a folder. */
export async function writeMicroModel(folder: string, options: MicroOptions = {}): Promise<void> {
  const { without = [], text = false } = options;
  const roles = Object.keys(NETWORKS).filter((role) => !without.includes(role));
  const models: Record<string, string> = {};
  for (const role of roles) {
    const stem = join(folder, microStem(role));
    await mkdir(dirname(stem), { recursive: true });
    await writeFile(`${stem}.json`, JSON.stringify(NETWORKS[role]));
    await writeFile(`${stem}.safetensors`, writeSafetensors(microWeights(role, options)));
    if (role !== 'image_cond_model') models[role] = microStem(role);
  }
  const args = {
    models,
    sparse_structure_sampler: SAMPLER,
    slat_sampler: SAMPLER,
    slat_normalization: {
      mean: new Array<number>(LATENT).fill(0.1),
      std: new Array<number>(LATENT).fill(2),
    },
    ...(roles.includes('image_cond_model')
      ? { image_cond_model: microStem('image_cond_model') }
      : {}),
    ...(text ? { text_cond_model: 'clip' } : {}),
  };
  if (text) await writeTextEncoder(join(folder, 'clip'));
  await writeFile(join(folder, 'pipeline.json'), JSON.stringify({ args }));
}
