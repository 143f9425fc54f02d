/** What a pipeline makes. */
import { InputError } from '@pergola/core';
import type { Gaussians } from '../assets/gaussians.ts';
import type { Mesh } from '../assets/mesh.ts';
import type { RadianceField } from '../assets/radiance-field.ts';
import type { Voxels } from '../render/voxel-preview.ts';

/** A form in which an asset can be decoded. */
export type AssetFormat = 'gaussians' | 'mesh' | 'radianceField';

/** Every format, in the order in which they are decoded: the mesh takes the most memory and comes last. */
export const ASSET_FORMATS: readonly AssetFormat[] = ['gaussians', 'radianceField', 'mesh'];

/** One sample on the host: its voxels, and the formats that were asked for. */
export interface Asset {
  readonly voxels: Voxels;
  readonly gaussians?: Gaussians;
  readonly mesh?: Mesh;
  readonly radianceField?: RadianceField;
}

/** @throws InputError for an unknown format. */
export function checkFormats(who: string, formats: readonly AssetFormat[]): void {
  for (const format of formats) {
    if (ASSET_FORMATS.includes(format)) continue;
    throw new InputError(
      `${who}: formats must be among ${ASSET_FORMATS.join(', ')}, got ${format}.`,
    );
  }
}
