/** Previews: one asset from several sides. */
import { InputError } from '@pergola/core';
import type { Gaussians } from '../assets/gaussians.ts';
import type { Mesh } from '../assets/mesh.ts';
import type { RadianceField } from '../assets/radiance-field.ts';
import type { PixelImage } from '../conditioning/image.ts';
import { snapshotCameras, type Camera } from './camera.ts';
import { renderRadianceField } from './field-renderer.ts';
import { frameImage, type Color, type Frame } from './frame.ts';
import { renderGaussians } from './gaussian-renderer.ts';
import { renderMesh } from './mesh-renderer.ts';
import { voxelMesh, type Voxels } from './voxel-preview.ts';

/** Anything that can be looked at. */
export type AssetPart = Gaussians | Mesh | RadianceField | Voxels;

/** Options of `renderViews`. */
export interface ViewOptions {
  /** Pixels along each side. Default 512. */
  readonly size: number;
  /** A number of views round the asset, or the cameras themselves. Default 4. */
  readonly views: number | readonly Camera[];
  /** Default white. */
  readonly background: Color;
}

export const VIEW_DEFAULTS: ViewOptions = { size: 512, views: 4, background: [1, 1, 1] };

/**
 * Renders a part of an asset from several sides, as 8-bit pictures.
 *
 * Meshes are lit so that their shape shows; Gaussians and radiance fields carry their own light.
 *
 * @throws InputError for fewer than one view, and whatever the renderer of the part throws.
 */
export function renderViews(part: AssetPart, options: Partial<ViewOptions> = {}): PixelImage[] {
  const { size, views, background } = { ...VIEW_DEFAULTS, ...options };
  if (typeof views === 'number' && (!Number.isInteger(views) || views < 1)) {
    throw new InputError(`renderViews: views must be an integer of at least 1, got ${views}.`);
  }
  const cameras = typeof views === 'number' ? snapshotCameras(views) : views;
  const render = rendererOf(part, { size, background });
  return cameras.map((camera) => frameImage(render(camera)));
}

function rendererOf(
  part: AssetPart,
  options: { readonly size: number; readonly background: Color },
): (camera: Camera) => Frame {
  switch (part.kind) {
    case 'gaussians':
      return (camera) => renderGaussians(part, camera, options);
    case 'radianceField':
      return (camera) => renderRadianceField(part, camera, options);
    case 'mesh':
      return (camera) => renderMesh(part, camera, { ...options, shading: 'smooth' });
    case 'voxels': {
      const mesh = voxelMesh(part);
      return (camera) => renderMesh(mesh, camera, { ...options, shading: 'flat' });
    }
    default:
      return part satisfies never;
  }
}
