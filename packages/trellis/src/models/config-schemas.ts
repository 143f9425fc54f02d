/** Checks of the networks' JSON arguments, with the defaults of the published code. */
import { z } from 'zod';
import type { ModelConfigs, ModelName } from './config.ts';

const count = z.number().int().positive();
const countOrZero = z.number().int().nonnegative();
const channelList = z.array(count).min(1);

const transformerFields = {
  resolution: count,
  model_channels: count,
  num_blocks: countOrZero,
  num_heads: count.nullish(),
  num_head_channels: count.default(64),
  mlp_ratio: z.number().positive().default(4),
  // The other published option, rotary embedding, fits no head width and was never trained.
  pe_mode: z.literal('ape').default('ape'),
  qk_rms_norm: z.boolean().default(false),
  use_fp16: z.boolean().default(false),
  use_checkpoint: z.boolean().default(false),
};

const flowFields = {
  ...transformerFields,
  in_channels: count,
  out_channels: count,
  cond_channels: count,
  patch_size: count.default(2),
  share_mod: z.boolean().default(false),
  qk_rms_norm_cross: z.boolean().default(false),
};

const slatTorsoFields = {
  ...transformerFields,
  latent_channels: count,
  attn_mode: z.enum(['swin', 'full']).default('swin'),
  window_size: count.default(8),
};

const structureVaeFields = {
  latent_channels: count,
  num_res_blocks: countOrZero,
  channels: channelList,
  num_res_blocks_middle: countOrZero.default(2),
  norm_type: z.enum(['layer', 'group']).default('layer'),
  use_fp16: z.boolean().default(false),
};

interface TransformerArguments {
  readonly model_channels: number;
  readonly num_heads?: number | null | undefined;
  readonly num_head_channels: number;
}

/** Settles the number of heads, which may be given by the width of one. */
function settleHeads<T extends TransformerArguments>(
  args: T,
  context: z.RefinementCtx,
): T & { num_heads: number } {
  const heads = args.num_heads ?? args.model_channels / args.num_head_channels;
  if (!Number.isInteger(heads) || args.model_channels % heads !== 0) {
    context.addIssue({
      code: 'custom',
      path: ['num_heads'],
      message: `must divide model_channels (${args.model_channels}), got ${heads}`,
    });
  }
  return { ...args, num_heads: heads };
}

function checkPatches(
  { resolution, patch_size }: { resolution: number; patch_size: number },
  context: z.RefinementCtx,
): void {
  if (resolution % patch_size === 0) return;
  context.addIssue({
    code: 'custom',
    path: ['patch_size'],
    message: `must divide resolution (${resolution}), got ${patch_size}`,
  });
}

const slatFlow = z
  .strictObject({
    ...flowFields,
    num_io_res_blocks: count.default(2),
    io_block_channels: channelList.nullish().transform((list) => list ?? []),
    use_skip_connection: z.boolean().default(true),
  })
  .superRefine(({ patch_size, io_block_channels }, context) => {
    const levels = io_block_channels.length;
    if (patch_size === 2 ** levels) return;
    context.addIssue({
      code: 'custom',
      path: ['patch_size'],
      message: `must be 2 to the number of io_block_channels (${2 ** levels}), got ${patch_size}`,
    });
  })
  .transform(settleHeads);

const gaussianRepresentation = z.strictObject({
  lr: z.strictObject({
    _xyz: z.number(),
    _features_dc: z.number(),
    _opacity: z.number(),
    _scaling: z.number(),
    _rotation: z.number(),
  }),
  perturb_offset: z.boolean(),
  voxel_size: z.number().positive(),
  num_gaussians: count,
  '2d_filter_kernel_size': z.number().nonnegative(),
  '3d_filter_kernel_size': z.number().nonnegative(),
  scaling_bias: z.number().positive(),
  opacity_bias: z.number().gt(0).lt(1),
  scaling_activation: z.enum(['softplus', 'exp']),
});

const meshRepresentation = z.strictObject({ use_color: z.boolean().default(false) });

/** The last block has an eighth of the channels, which its norms split into 32 groups. */
function checkMeshChannels(
  { model_channels }: { model_channels: number },
  context: z.RefinementCtx,
): void {
  if (model_channels % 256 === 0) return;
  context.addIssue({
    code: 'custom',
    path: ['model_channels'],
    message: `must be a multiple of 256, got ${model_channels}`,
  });
}

const dinoVisionTransformer = z
  .strictObject({
    img_size: count,
    patch_size: count,
    embed_dim: count,
    depth: count,
    num_heads: count,
    mlp_ratio: z.number().positive().default(4),
    num_register_tokens: countOrZero.default(0),
    interpolate_antialias: z.boolean().default(true),
    // The position table is resized to the exact size of the patch grid, without an offset on the scale.
    interpolate_offset: z.literal(0).default(0),
    init_values: z.number().default(1),
    ffn_layer: z.literal('mlp').default('mlp'),
    block_chunks: z.literal(0).default(0),
  })
  .superRefine(({ embed_dim, num_heads, img_size, patch_size }, context) => {
    const demand = (path: string, ok: boolean, message: string): void => {
      if (!ok) context.addIssue({ code: 'custom', path: [path], message });
    };
    demand('num_heads', embed_dim % num_heads === 0, `must divide embed_dim (${embed_dim})`);
    demand('patch_size', img_size % patch_size === 0, `must divide img_size (${img_size})`);
  });

const clipText = z.object({
  vocab_size: count.default(49408),
  hidden_size: count.default(512),
  intermediate_size: count.default(2048),
  num_hidden_layers: count.default(12),
  num_attention_heads: count.default(8),
  max_position_embeddings: count.default(77),
  hidden_act: z.enum(['quick_gelu', 'gelu']).default('quick_gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
});

/** Schemas of the arguments, by class name. */
export const MODEL_SCHEMAS: { readonly [Name in ModelName]: z.ZodType<ModelConfigs[Name]> } = {
  SparseStructureFlowModel: z
    .strictObject(flowFields)
    .superRefine(checkPatches)
    .transform(settleHeads),
  SparseStructureEncoder: z.strictObject({ ...structureVaeFields, in_channels: count }),
  SparseStructureDecoder: z.strictObject({ ...structureVaeFields, out_channels: count }),
  SLatFlowModel: slatFlow,
  SLatEncoder: z.strictObject({ ...slatTorsoFields, in_channels: count }).transform(settleHeads),
  SLatGaussianDecoder: z
    .strictObject({ ...slatTorsoFields, representation_config: gaussianRepresentation })
    .transform(settleHeads),
  SLatRadianceFieldDecoder: z
    .strictObject({
      ...slatTorsoFields,
      representation_config: z.strictObject({ rank: count, dim: count }),
    })
    .transform(settleHeads),
  SLatMeshDecoder: z
    .strictObject({
      ...slatTorsoFields,
      representation_config: meshRepresentation.default({ use_color: false }),
    })
    .superRefine(checkMeshChannels)
    .transform(settleHeads),
  DinoVisionTransformer: dinoVisionTransformer,
  CLIPTextModel: clipText,
};
