/**
 * The encoders that published pipelines only name: the folder of a Hugging Face conversion, or the one file of the
 * original release.
 */
import { isFile } from '#file-source';
import { CheckpointError } from '@pergola/core';
import { z } from 'zod';
import { DINOV2_VITL14_REG, type DinoConfig } from '../models/config.ts';
import { folderOf, joinLocation, nameOf } from './location.ts';
import { readJson } from './parse-json.ts';

/** Class and arguments of an encoder, and the file of its weights. */
export interface EncoderFiles {
  readonly name: 'DinoVisionTransformer' | 'CLIPTextModel';
  /** Unchecked arguments for the schema of the class. */
  readonly args: unknown;
  readonly weights: string;
}

/** Name by which published pipelines ask for their image encoder. */
const DINO_NAME = 'dinov2_vitl14_reg';
/** Where it may lie, beside the pipeline file or one folder up. */
const DINO_FILES: readonly string[] = [
  'dinov2_vitl14_reg4_pretrain.pth',
  'dinov2-with-registers-large/model.safetensors',
];

const count = z.number().int().positive();

// Fields of the conversion, with the defaults of its framework.
const dinoConversion = z
  .object({
    image_size: count.default(224),
    patch_size: count.default(16),
    hidden_size: count.default(768),
    num_hidden_layers: count.default(12),
    num_attention_heads: count.default(12),
    mlp_ratio: z.number().positive().default(4),
    num_register_tokens: z.number().int().nonnegative().default(4),
  })
  .transform((config): DinoConfig => ({
    img_size: config.image_size,
    patch_size: config.patch_size,
    embed_dim: config.hidden_size,
    depth: config.num_hidden_layers,
    num_heads: config.num_attention_heads,
    mlp_ratio: config.mlp_ratio,
    num_register_tokens: config.num_register_tokens,
    interpolate_antialias: true,
  }));

const conversion = z.looseObject({
  model_type: z.string(),
  text_config: z.record(z.string(), z.unknown()).optional(),
});

async function readConversion(folder: string): Promise<EncoderFiles> {
  const path = joinLocation(folder, 'config.json');
  const config = await readJson(path, conversion);
  const weights = joinLocation(folder, 'model.safetensors');
  switch (config.model_type) {
    case 'clip':
      return { name: 'CLIPTextModel', args: config.text_config ?? {}, weights };
    case 'clip_text_model':
      return { name: 'CLIPTextModel', args: config, weights };
    case 'dinov2_with_registers':
      return {
        name: 'DinoVisionTransformer',
        args: await readJson(path, dinoConversion),
        weights,
      };
    default:
      throw new CheckpointError(
        `${path}: model_type must be clip, clip_text_model or dinov2_with_registers, got ${config.model_type}.`,
      );
  }
}

/**
 * Finds an encoder that has no `<stem>.json`: a folder of that path with `config.json`, or, for the image encoder that
 * published pipelines name, its released file or the folder of its conversion.
 *
 * @param stem path as a pipeline file gives it, inside the pipeline's folder.
 * @returns `undefined` when there is nothing of the kind.
 * @throws CheckpointError when a folder describes another kind of network.
 */
export async function findEncoder(stem: string): Promise<EncoderFiles | undefined> {
  if (await isFile(joinLocation(stem, 'config.json'))) return readConversion(stem);
  if (nameOf(stem) !== DINO_NAME) return undefined;
  const folder = folderOf(stem);
  for (const place of [folder, folderOf(folder)]) {
    for (const file of DINO_FILES) {
      const weights = joinLocation(place, file);
      if (!(await isFile(weights))) continue;
      return { name: 'DinoVisionTransformer', args: DINOV2_VITL14_REG, weights };
    }
  }
  return undefined;
}

/** What to do when nothing is found at a stem. */
export function encoderAdvice(stem: string): string {
  return nameOf(stem) === DINO_NAME
    ? `put ${DINO_FILES.join(' or ')} into ${folderOf(stem)}`
    : 'put its files at that path or name another path in pipeline.json';
}
