/** One published network: `<stem>.json` with its class and arguments, `<stem>.safetensors` with its weights. */
import { fileSource, isFile } from '#file-source';
import { CheckpointError } from '@pergola/core';
import { z } from 'zod';
import { MODEL_SCHEMAS } from '../models/config-schemas.ts';
import type { ModelConfigs, ModelName } from '../models/config.ts';
import { encoderAdvice, findEncoder } from './encoder-folder.ts';
import { checkValue, readJson } from './parse-json.ts';
import { torchArchiveStore } from './torch-archive.ts';
import { safetensorsStore, type WeightStore } from './weight-store.ts';

/** Class and arguments of a network, told apart by `name`. */
export type ModelDescription = {
  [Name in ModelName]: { readonly name: Name; readonly config: ModelConfigs[Name] };
}[ModelName];

/** Fields beside class and arguments; image encoders say there how pixels are prepared. */
export interface ModelExtras {
  /** Side in pixels of the image that the encoder wants. */
  readonly image_size?: number | undefined;
  /** Per-channel mean and deviation of pixels in [0, 1]. */
  readonly image_mean?: readonly number[] | undefined;
  readonly image_std?: readonly number[] | undefined;
}

const triple = z.array(z.number()).length(3);
const modelFile = z.object({
  name: z.string(),
  args: z.record(z.string(), z.unknown()),
  image_size: z.number().int().positive().optional(),
  image_mean: triple.optional(),
  image_std: triple.optional(),
});

// Training-time variants with the same network and keys.
const VARIANT_PREFIX = /^Elastic(?=SLat)/;

/**
 * Checks a class name and its arguments.
 *
 * @param location file name for messages.
 * @throws CheckpointError when the class is unknown or an argument does not fit.
 */
export function describeModel(name: string, args: unknown, location: string): ModelDescription {
  const plain = name.replace(VARIANT_PREFIX, '');
  if (!Object.hasOwn(MODEL_SCHEMAS, plain)) {
    const known = Object.keys(MODEL_SCHEMAS).join(', ');
    throw new CheckpointError(`${location}: name must be one of ${known}, got ${name}.`);
  }
  const schema = MODEL_SCHEMAS[plain as ModelName] as z.ZodType;
  return {
    name: plain,
    config: checkValue(args, schema, `${location}: args`),
  } as ModelDescription;
}

/**
 * Reads `<stem>.json`, or the configuration of an encoder without one; see `findEncoder`.
 *
 * @throws CheckpointError when nothing is there, or it does not describe a network.
 */
export async function readModelFile(stem: string): Promise<ModelDescription & ModelExtras> {
  const path = `${stem}.json`;
  if (!(await isFile(path))) {
    const encoder = await findEncoder(stem);
    if (encoder === undefined) throw notFound(stem);
    return describeModel(encoder.name, encoder.args, stem);
  }
  const { name, args, ...extras } = await readJson(path, modelFile);
  return { ...describeModel(name, args, path), ...extras };
}

/**
 * Opens `<stem>.safetensors`, or the weights of an encoder without `<stem>.json`. The caller closes the store.
 *
 * @throws CheckpointError when there is no such file, or its header is malformed.
 */
export async function openModelWeights(stem: string): Promise<WeightStore> {
  const own = `${stem}.safetensors`;
  const path = (await isFile(own)) ? own : ((await findEncoder(stem))?.weights ?? own);
  const source = await fileSource(path);
  return path.endsWith('.safetensors')
    ? safetensorsStore(source, path)
    : torchArchiveStore(source, path);
}

function notFound(stem: string): CheckpointError {
  return new CheckpointError(
    `${stem}.json: the file does not exist; models are not downloaded, so ${encoderAdvice(stem)}.`,
  );
}
