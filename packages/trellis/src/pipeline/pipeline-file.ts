/** `pipeline.json`: which networks a model set consists of, and how they are sampled. */
import { z } from 'zod';
import { joinLocation } from '../checkpoints/location.ts';
import { readJson } from '../checkpoints/parse-json.ts';
import {
  FLOW_SAMPLER_DEFAULTS,
  FLOW_SAMPLER_NAMES,
  type FlowSampler,
  type FlowSamplerName,
} from '../sampling/flow-sampler.ts';
import type { LatentNormalization } from './stages.ts';

/** Networks that a pipeline file lists, by the names of the published files. */
export type ModelRole =
  | 'sparse_structure_flow_model'
  | 'sparse_structure_decoder'
  | 'slat_flow_model'
  | 'slat_decoder_gs'
  | 'slat_decoder_rf'
  | 'slat_decoder_mesh';

/** What a pipeline file says. Paths are as written there: relative to the set, without extension. */
export interface PipelineFile {
  readonly models: Readonly<Partial<Record<ModelRole, string>>>;
  readonly structureSampler: FlowSampler;
  readonly latentSampler: FlowSampler;
  readonly normalization: LatentNormalization;
  /** Encoder of pictures; absent in a set for text. */
  readonly imageEncoder: string | undefined;
  /** Encoder of text; absent in a set for pictures. */
  readonly textEncoder: string | undefined;
}

const samplerSchema = z
  .object({
    name: z.enum(FLOW_SAMPLER_NAMES as [FlowSamplerName, ...FlowSamplerName[]]),
    args: z.object({ sigma_min: z.number().nonnegative() }),
    params: z
      .object({
        steps: z.number().int().positive(),
        cfg_strength: z.number(),
        cfg_interval: z.tuple([z.number(), z.number()]),
        rescale_t: z.number().positive(),
      })
      .partial(),
  })
  .transform(({ name, args, params }): FlowSampler => ({
    name,
    sigmaMin: args.sigma_min,
    params: {
      steps: params.steps ?? FLOW_SAMPLER_DEFAULTS.steps,
      cfgStrength: params.cfg_strength ?? FLOW_SAMPLER_DEFAULTS.cfgStrength,
      cfgInterval: params.cfg_interval ?? FLOW_SAMPLER_DEFAULTS.cfgInterval,
      rescaleT: params.rescale_t ?? FLOW_SAMPLER_DEFAULTS.rescaleT,
    },
  }));

const path = z.string().min(1);

const schema = z.object({
  args: z.object({
    models: z
      .object({
        sparse_structure_flow_model: path,
        sparse_structure_decoder: path,
        slat_flow_model: path,
        slat_decoder_gs: path,
        slat_decoder_rf: path,
        slat_decoder_mesh: path,
      })
      .partial(),
    sparse_structure_sampler: samplerSchema,
    slat_sampler: samplerSchema,
    slat_normalization: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }),
    image_cond_model: path.optional(),
    text_cond_model: path.optional(),
  }),
});

/**
 * Reads `pipeline.json` of a model set.
 *
 * @throws CheckpointError when it is missing or does not describe a pipeline.
 */
export async function readPipelineFile(folder: string): Promise<PipelineFile> {
  const { args } = await readJson(joinLocation(folder, 'pipeline.json'), schema);
  const models: Partial<Record<ModelRole, string>> = {};
  for (const [role, stem] of Object.entries(args.models)) {
    if (stem !== undefined) models[role as ModelRole] = stem;
  }
  return {
    models,
    structureSampler: args.sparse_structure_sampler,
    latentSampler: args.slat_sampler,
    normalization: args.slat_normalization,
    imageEncoder: args.image_cond_model,
    textEncoder: args.text_cond_model,
  };
}
