/** The bundled examples with their true voxels. Node only. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, openSafetensors } from '@pergola/core';
import { z } from 'zod';
import { fileSource } from '../checkpoints/file-source.ts';
import { checkValue } from '../checkpoints/parse-json.ts';
import { readImageFile } from '../conditioning/image-file.ts';
import type { PixelImage } from '../conditioning/image.ts';
import type { Voxels } from '../render/voxel-preview.ts';

/** A picture of an object that the model was not trained on, and what the object looks like. */
export interface Example {
  /** `00_chair`: file name of the picture, without extension. */
  readonly id: string;
  readonly caption: string;
  readonly image: PixelImage;
  readonly voxels: Voxels;
  /** From where the picture was taken, in degrees: 0 looks along +x, -90 along +y. */
  readonly azimuth: number;
  readonly elevation: number;
}

const captions = z.array(
  z.object({
    index: z.number().int(),
    name: z.string(),
    caption: z.string(),
    azimuth: z.number(),
    elevation: z.number(),
  }),
);

// Voxels per axis of the file's grid.
const RESOLUTION = 64;

/**
 * Reads `captions.json`, `occupancy.safetensors` and the pictures of a folder.
 *
 * @throws CheckpointError, InputError when a file is missing or damaged.
 */
export async function readExamples(folder: string): Promise<Example[]> {
  const path = join(folder, 'captions.json');
  const list = checkValue(JSON.parse(await readFile(path, 'utf8')), captions, path);
  const source = await fileSource(join(folder, 'occupancy.safetensors'));
  try {
    const occupancy = await openSafetensors(source);
    const examples: Example[] = [];
    for (const { index, name, caption, azimuth, elevation } of list) {
      const id = `${String(index).padStart(2, '0')}_${name}`;
      const { data, shape } = await occupancy.read(id);
      if (shape.length !== 2 || shape[1] !== 3) {
        throw new CheckpointError(`occupancy: ${id} must be [N, 3], got [${shape.join(', ')}].`);
      }
      const coords = Int32Array.from(data);
      examples.push({
        id,
        caption,
        image: await readImageFile(join(folder, `${id}.png`)),
        voxels: { kind: 'voxels', coords, resolution: RESOLUTION },
        azimuth,
        elevation,
      });
    }
    return examples;
  } finally {
    await source.close();
  }
}
