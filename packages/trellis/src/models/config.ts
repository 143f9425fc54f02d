/**
 * Constructor arguments of the networks. Fields keep the names of the published JSON files; the schemas in
 * `config-schemas.ts` give a field that a file leaves out its default.
 */

/** Width and depth of a transformer. */
export interface TransformerConfig {
  /** Voxels per axis of the grid that the network sees. */
  readonly resolution: number;
  readonly model_channels: number;
  readonly num_blocks: number;
  readonly num_heads: number;
  /** Hidden width of the perceptrons, in widths of the model. */
  readonly mlp_ratio: number;
  /** Normalise queries and keys of the self-attention. */
  readonly qk_rms_norm: boolean;
  /** How the file was trained. The dtype in which a network computes is chosen when it is loaded. */
  readonly use_fp16: boolean;
}

/** What both flow networks share. */
export interface FlowConfig extends TransformerConfig {
  readonly in_channels: number;
  readonly out_channels: number;
  /** Width of a condition token. */
  readonly cond_channels: number;
  /** Voxels per axis that share one token. */
  readonly patch_size: number;
  /** One time modulation for all blocks. */
  readonly share_mod: boolean;
  /** Normalise queries and keys of the cross-attention. */
  readonly qk_rms_norm_cross: boolean;
}

export type SparseStructureFlowConfig = FlowConfig;

export interface SLatFlowConfig extends FlowConfig {
  /** Residual blocks per level before and after the transformer. */
  readonly num_io_res_blocks: number;
  /** Channels of the levels above the transformer's grid, finest first; each level halves the grid. */
  readonly io_block_channels: readonly number[];
  /** Whether the levels after the transformer see the features of those before it. */
  readonly use_skip_connection: boolean;
}

/** What encoder and decoder of the occupancy grid share. */
export interface StructureVaeConfig {
  readonly latent_channels: number;
  /** Residual blocks per level. */
  readonly num_res_blocks: number;
  /** Channels per level, in the order in which data passes them. */
  readonly channels: readonly number[];
  readonly num_res_blocks_middle: number;
  /** Norm of the output layer; residual blocks always normalise the channels of each voxel. */
  readonly norm_type: 'layer' | 'group';
  readonly use_fp16: boolean;
}

export interface SparseStructureEncoderConfig extends StructureVaeConfig {
  readonly in_channels: number;
}

export interface SparseStructureDecoderConfig extends StructureVaeConfig {
  readonly out_channels: number;
}

/** What encoder and decoders of structured latents share. */
export interface SLatTorsoConfig extends TransformerConfig {
  readonly latent_channels: number;
  /** `swin`: windows, shifted in every other block. `full`: all voxels of an object. */
  readonly attn_mode: 'swin' | 'full';
  /** Voxels per axis of a window. */
  readonly window_size: number;
}

export interface SLatEncoderConfig extends SLatTorsoConfig {
  readonly in_channels: number;
}

/** How a Gaussian decoder's channels become Gaussians. */
export interface GaussianRepresentationConfig {
  /** Factors on the raw channels, by attribute. */
  readonly lr: {
    readonly _xyz: number;
    readonly _features_dc: number;
    readonly _opacity: number;
    readonly _scaling: number;
    readonly _rotation: number;
  };
  /** Whether each Gaussian of a voxel starts at its own place. */
  readonly perturb_offset: boolean;
  /** Range of a Gaussian's offset, in voxels. */
  readonly voxel_size: number;
  readonly num_gaussians: number;
  /** Screen-space smoothing in pixels²; a setting of the renderer. */
  readonly '2d_filter_kernel_size': number;
  /** Smallest standard deviation of a Gaussian; the asset's cube has edge 1. */
  readonly '3d_filter_kernel_size': number;
  /** Scale of a Gaussian whose raw scale is 0. */
  readonly scaling_bias: number;
  /** Opacity of a Gaussian whose raw opacity is 0. */
  readonly opacity_bias: number;
  readonly scaling_activation: 'softplus' | 'exp';
}

export interface SLatGaussianDecoderConfig extends SLatTorsoConfig {
  readonly representation_config: GaussianRepresentationConfig;
}

export interface SLatRadianceFieldDecoderConfig extends SLatTorsoConfig {
  readonly representation_config: {
    /** Terms of a voxel's low-rank grid. */
    readonly rank: number;
    /** Samples per axis of a voxel's low-rank grid. */
    readonly dim: number;
  };
}

export interface SLatMeshDecoderConfig extends SLatTorsoConfig {
  readonly representation_config: {
    /** Whether the cells carry colours and normals. */
    readonly use_color: boolean;
  };
}

/** A vision transformer with registers, of the DINOv2 family. */
export interface DinoConfig {
  /** Side in pixels of the images that the position table belongs to. */
  readonly img_size: number;
  readonly patch_size: number;
  readonly embed_dim: number;
  readonly depth: number;
  readonly num_heads: number;
  readonly mlp_ratio: number;
  readonly num_register_tokens: number;
  /** Whether shrinking the position table smooths it. */
  readonly interpolate_antialias: boolean;
}

/** The text tower of CLIP. */
export interface ClipTextConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly max_position_embeddings: number;
  readonly hidden_act: 'quick_gelu' | 'gelu';
  readonly layer_norm_eps: number;
}

/** Configurations by class name. */
export interface ModelConfigs {
  SparseStructureFlowModel: SparseStructureFlowConfig;
  SparseStructureEncoder: SparseStructureEncoderConfig;
  SparseStructureDecoder: SparseStructureDecoderConfig;
  SLatFlowModel: SLatFlowConfig;
  SLatEncoder: SLatEncoderConfig;
  SLatGaussianDecoder: SLatGaussianDecoderConfig;
  SLatRadianceFieldDecoder: SLatRadianceFieldDecoderConfig;
  SLatMeshDecoder: SLatMeshDecoderConfig;
  DinoVisionTransformer: DinoConfig;
  CLIPTextModel: ClipTextConfig;
}

/** Name of a network class. */
export type ModelName = keyof ModelConfigs;

/** DINOv2 ViT-L/14 with four registers: the image encoder of the published image model. */
export const DINOV2_VITL14_REG: DinoConfig = {
  img_size: 518,
  patch_size: 14,
  embed_dim: 1024,
  depth: 24,
  num_heads: 16,
  mlp_ratio: 4,
  num_register_tokens: 4,
  interpolate_antialias: true,
};

/** CLIP ViT-L/14, text tower: the text encoder of the published text models. */
export const CLIP_VIT_LARGE_PATCH14: ClipTextConfig = {
  vocab_size: 49408,
  hidden_size: 768,
  intermediate_size: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  max_position_embeddings: 77,
  hidden_act: 'quick_gelu',
  layer_norm_eps: 1e-5,
};
